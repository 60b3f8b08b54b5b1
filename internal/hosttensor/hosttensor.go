// Package hosttensor owns the conversion of tensors between the contracts of package adapters
// (plain host memory) and GoMLX. It must not know what the tensors mean.
//
// Both directions copy, so the caller owns the results.
package hosttensor

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
)

// DType returns GoMLX's element type for a type of package adapters.
func DType(d adapters.DType) dtypes.DType {
	switch d {
	case adapters.Uint8:
		return dtypes.Uint8
	case adapters.Int32:
		return dtypes.Int32
	case adapters.Float32:
		return dtypes.Float32
	case adapters.BFloat16:
		return dtypes.BFloat16
	}
	return dtypes.InvalidDType
}

// ToDevice copies t to the backend's memory.
func ToDevice(backend compute.Backend, t *adapters.Tensor) (*tensors.Tensor, error) {
	dtype := DType(t.DType)
	if dtype == dtypes.InvalidDType {
		return nil, adapters.Errorf(adapters.Invalid, "cannot compute with a tensor of %s", t.DType)
	}
	return tensors.FromRaw(backend, 0, shapes.Make(dtype, t.Shape...), t.Data)
}

// FromDevice copies t to host memory and frees it on the device.
func FromDevice(t *tensors.Tensor) (*adapters.Tensor, error) {
	defer t.FinalizeAll()
	return Copy(t)
}

// Copy copies t to host memory and keeps it on the device.
func Copy(t *tensors.Tensor) (*adapters.Tensor, error) {
	host := map[dtypes.DType]adapters.DType{
		dtypes.Uint8: adapters.Uint8, dtypes.Int32: adapters.Int32,
		dtypes.Float32: adapters.Float32, dtypes.BFloat16: adapters.BFloat16,
	}[t.DType()]
	if host == adapters.InvalidDType {
		return nil, adapters.Errorf(adapters.Internal, "the contract has no tensors of %s", t.DType())
	}
	out := adapters.NewTensor(host, slices.Clone(t.Shape().Dimensions)...)
	err := t.ConstBytes(func(data []byte) { copy(out.Data, data) })
	return out, err
}

// Float32s copies a float32 tensor's elements to host memory and frees it.
func Float32s(t *tensors.Tensor) ([]float32, error) {
	defer t.FinalizeAll()
	return tensors.CopyFlatData[float32](t)
}
