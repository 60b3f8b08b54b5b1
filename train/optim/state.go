package optim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/weights"
)

// WriteState writes a safetensors file of what a resumed run needs beside the parameters:
// "step" int32[1], and for each parameter "m."+name and "v."+name, float32 of the parameter's
// shape. It copies one moment at a time.
func (o *AdamW) WriteState(path string) error {
	if o.torn != nil {
		return o.torn
	}
	state := map[string]weights.Source{"step": {DType: adapters.Int32, Shape: []int{1}, Read: func() (*adapters.Tensor, error) {
		return adapters.FromInt32([]int32{int32(o.steps)}, 1), nil
	}}}
	for key, v := range o.moments() {
		state[key] = weights.Source{DType: adapters.Float32, Shape: v.Shape().Dimensions, Read: func() (*adapters.Tensor, error) {
			value, err := v.Value()
			if err != nil {
				return nil, adapters.Errorf(adapters.Internal, "optimizer state %q: %w", key, err)
			}
			return hosttensor.Copy(value)
		}}
	}
	return weights.WriteSources(path, state, nil)
}

// SetState restores what [AdamW.WriteState] wrote. It returns an error, and changes nothing,
// if the state is of other parameters. It copies the tensors.
func (o *AdamW) SetState(state map[string]*adapters.Tensor) error {
	moments := o.moments()
	if err := checkState(state, moments); err != nil {
		return err
	}
	values := make(map[string]*tensors.Tensor, len(moments))
	for key := range moments {
		value, err := hosttensor.ToDevice(o.backend, state[key])
		if err != nil {
			return adapters.Errorf(adapters.Exhausted, "optimizer state %q: %w", key, err)
		}
		values[key] = value
	}
	for key, v := range moments {
		if err := v.SetValue(values[key]); err != nil {
			return adapters.Errorf(adapters.Internal, "optimizer state %q: %w", key, err)
		}
	}
	o.steps = int(state["step"].Int32s()[0])
	return nil
}

func (o *AdamW) moments() map[string]*model.Variable {
	m := make(map[string]*model.Variable, 2*len(o.parameters))
	for _, p := range o.parameters {
		m["m."+p.name], m["v."+p.name] = p.m, p.v
	}
	return m
}

func checkState(state map[string]*adapters.Tensor, moments map[string]*model.Variable) error {
	var problems []string
	if err := state["step"].Check("step", []int{1}, adapters.Int32); err != nil {
		problems = append(problems, err.Error())
	}
	for key, v := range moments {
		if err := state[key].Check(key, v.Shape().Dimensions, adapters.Float32); err != nil {
			problems = append(problems, err.Error())
		}
	}
	for key := range state {
		if _, ok := moments[key]; !ok && key != "step" {
			problems = append(problems, fmt.Sprintf("%s belongs to no parameter that is trained", key))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	const shown = 3
	text := strings.Join(problems[:min(shown, len(problems))], "; ")
	return adapters.Errorf(adapters.Corrupt, "optimizer state does not fit the parameters in %d places: %s", len(problems), text).
		WithRemedy("resume with the recipe that the run was started with")
}
