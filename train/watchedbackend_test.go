package train_test

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// watchedBackend is a backend that calls a function before it compiles a graph.
type watchedBackend struct {
	compute.Backend
	compiling func(graph string)
}

func (b *watchedBackend) Builder(name string) compute.Builder {
	return &watchedBuilder{b.Backend.Builder(name), b, name}
}

func (b *watchedBackend) BufferFromFlatData(device compute.DeviceNum, flat any, shape shapes.Shape) (compute.Buffer, error) {
	buffer, err := b.Backend.BufferFromFlatData(device, flat, shape)
	return watchedBuffer{buffer, b}, err
}

func (b *watchedBackend) NewSharedBuffer(device compute.DeviceNum, shape shapes.Shape) (compute.Buffer, any, error) {
	buffer, flat, err := b.Backend.NewSharedBuffer(device, shape)
	return watchedBuffer{buffer, b}, flat, err
}

type watchedBuilder struct {
	compute.Builder
	backend *watchedBackend
	name    string
}

func (b *watchedBuilder) Compile() (compute.Executable, error) {
	b.backend.compiling(b.name)
	e, err := b.Builder.Compile()
	return watchedExecutable{e, b.backend}, err
}

type watchedExecutable struct {
	compute.Executable
	backend *watchedBackend
}

func (e watchedExecutable) Execute(inputs []compute.Buffer, donate []bool, device compute.DeviceNum) ([]compute.Buffer, error) {
	own := make([]compute.Buffer, len(inputs))
	for i, buffer := range inputs {
		own[i] = buffer.(watchedBuffer).Buffer
	}
	outputs, err := e.Executable.Execute(own, donate, device)
	for i, buffer := range outputs {
		outputs[i] = watchedBuffer{buffer, e.backend}
	}
	return outputs, err
}

// watchedBuffer is a buffer that says it is the watched backend's: tensors of two backends
// cannot meet in a graph.
type watchedBuffer struct {
	compute.Buffer
	backend *watchedBackend
}

func (b watchedBuffer) Backend() compute.Backend { return b.backend }
