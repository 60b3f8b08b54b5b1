package benchmark

import (
	"context"
	"runtime"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// encodeBatch is the number of pictures that the encoder gets at once.
const encodeBatch = 32

// features are those of the pictures of a window, by the pictures' names.
type features struct {
	of     map[string]*adapters.Tensor // [N, Denc]
	errors map[string]error            // of pictures that cannot be read
	// trained are the pictures that the model was trained on.
	trained map[string]bool
}

// encode reads pictures, each once, and encodes them. The requests to the encoder depend on the pictures
// alone.
func (r *runner) encode(ctx context.Context, pictures []*record.Picture) (*features, error) {
	f := &features{of: map[string]*adapters.Tensor{}, errors: map[string]error{}, trained: map[string]bool{}}
	var distinct []*record.Picture
	seen := map[string]bool{}
	for _, p := range pictures {
		if !seen[p.Name] {
			seen[p.Name] = true
			distinct = append(distinct, p)
		}
	}
	read := r.readPictures(distinct)
	var names []string
	var good []*adapters.Tensor
	for i, p := range distinct {
		if read[i].err != nil {
			f.errors[p.Name] = read[i].err
			continue
		}
		f.trained[p.Name] = read[i].trained
		names, good = append(names, p.Name), append(good, read[i].picture)
	}
	for lo := 0; lo < len(good); lo += encodeBatch {
		hi := min(lo+encodeBatch, len(good))
		images, err := data.Stack(good[lo:hi])
		if err != nil {
			return nil, err
		}
		encoded, err := r.options.Encoded.features(images, func() (*adapters.Tensor, error) { return r.model.Encode(ctx, images) })
		if err != nil {
			return nil, err
		}
		for i := range hi - lo {
			f.of[names[lo+i]] = encoded.Row(i)
		}
	}
	return f, nil
}

// preparedPicture is a picture, or the error of one that cannot be read.
type preparedPicture struct {
	picture *adapters.Tensor
	trained bool
	err     error
}

// readPictures reads pictures on all cores.
func (r *runner) readPictures(pictures []*record.Picture) []preparedPicture {
	out := make([]preparedPicture, len(pictures))
	var group sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(pictures)) {
		group.Go(func() {
			for i := range next {
				out[i] = r.readPicture(pictures[i])
			}
		})
	}
	for i := range pictures {
		next <- i
	}
	close(next)
	group.Wait()
	return out
}

// readPicture reads a picture once, and tells by its bytes whether the model was trained on it.
func (r *runner) readPicture(p *record.Picture) (out preparedPicture) {
	encoded, err := r.reader.Encoded(p)
	if err == nil {
		out.picture, err = r.reader.Prepared(p, encoded)
	}
	out.err = err
	out.trained = err == nil && len(r.options.Trained) > 0 && r.options.Trained[data.PictureDigest(encoded)]
	return out
}

// stack returns the features of samples as [B, N, Denc].
func (f *features) stack(names []string) *adapters.Tensor {
	first := f.of[names[0]]
	out := adapters.NewTensor(first.DType, append([]int{len(names)}, first.Shape...)...)
	for i, name := range names {
		copy(out.Row(i).Data, f.of[name].Data)
	}
	return out
}
