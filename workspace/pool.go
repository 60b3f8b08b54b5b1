package workspace

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
)

// Pool keeps frozen models open for several bridges. Bridges that are opened with the same pool
// share a frozen model if its weights, plugin, data type, backend, feature layer and picture size
// are the same. A model is closed with the last bridge that uses it. The zero value is ready to
// use; the methods of its bridges are safe for concurrent use.
type Pool struct {
	opening sync.Mutex // held while a model is opened, so that no model is opened twice

	mu     sync.Mutex
	models []*pooled
}

// pooled is an open frozen model.
type pooled struct {
	key, digestKey string
	model          io.Closer // adapters.VisionEncoder or adapters.LanguageModel
	memory         int64
	users          int
}

// Models returns the number of open frozen models and an estimate of their memory in bytes.
func (p *Pool) Models() (n int, memory int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.models {
		memory += m.memory
	}
	return len(p.models), memory
}

// vision opens an encoder or returns one that is open. release gives it back. A nil pool shares
// nothing.
func (p *Pool) vision(ctx context.Context, w *Workspace, s OpenSpec, trained string) (adapters.VisionEncoder, func(), error) {
	return lend(ctx, p, w, s, trained, w.OpenVision, func(e adapters.VisionEncoder) opened {
		return opened{model: e, spec: e.Spec().Spec, size: e.Spec().Image.Size()}
	})
}

// language is like [Pool.vision].
func (p *Pool) language(ctx context.Context, w *Workspace, s OpenSpec, trained string) (adapters.LanguageModel, func(), error) {
	return lend(ctx, p, w, s, trained, w.OpenLanguage, func(l adapters.LanguageModel) opened {
		return opened{model: l, spec: l.Spec().Spec}
	})
}

// lend opens a model of either kind, or returns one that is open. describe returns what the pool
// records of a model that was just opened.
func lend[M io.Closer](ctx context.Context, p *Pool, w *Workspace, s OpenSpec, trained string,
	open func(context.Context, OpenSpec) (M, error), describe func(M) opened) (m M, release func(), err error) {
	if p == nil {
		if m, err = open(ctx, s); err != nil {
			return m, nil, err
		}
		return m, w.Closer(m), nil
	}
	shared, release, err := p.open(w, s, trained, func() (opened, error) {
		m, err := open(ctx, s)
		if err != nil {
			return opened{}, err
		}
		return describe(m), nil
	})
	if err != nil {
		return m, nil, err
	}
	return shared.(M), release, nil
}

// opened is a model that was just opened.
type opened struct {
	model io.Closer
	spec  adapters.Spec
	size  adapters.Size // of an encoder's pictures
}

// open returns a model that is open or opens it. trained is the digest of the weights that a
// bridge was trained with: a bridge that was trained with other weights of one folder gets them
// read again.
func (p *Pool) open(w *Workspace, s OpenSpec, trained string, open func() (opened, error)) (io.Closer, func(), error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	key := sharedKey(s, s.Model.ID+"\x00"+s.Model.Path+"\x00"+trained)
	if m, release := p.share(w, func(m *pooled) bool { return m.key == key }); m != nil {
		return m, release, nil
	}
	o, err := open()
	if err != nil {
		return nil, nil, err
	}
	model, spec, digestKey := o.model, o.spec, ""
	if spec.Digest != "" {
		s.ImageSize = o.size // older bridges do not record the default size
		digestKey = sharedKey(s, string(spec.Kind)+"\x00"+spec.Family+"\x00"+spec.Digest)
		if m, release := p.share(w, func(m *pooled) bool { return m.digestKey == digestKey }); m != nil { // the same weights in another folder
			w.Closer(model)()
			return m, release, nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &pooled{key: key, digestKey: digestKey, model: model, memory: spec.MemoryBytes}
	p.models = append(p.models, m)
	return model, p.use(w, m), nil
}

// share returns an open model for one more user, or nil.
func (p *Pool) share(w *Workspace, is func(*pooled) bool) (model io.Closer, release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.models, is); i >= 0 {
		return p.models[i].model, p.use(w, p.models[i])
	}
	return nil, nil
}

// use counts a user of a model and returns the function that ends the use. The caller holds mu.
func (p *Pool) use(w *Workspace, m *pooled) func() {
	m.users++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		m.users--
		last := m.users == 0
		if last {
			p.models = slices.DeleteFunc(p.models, func(other *pooled) bool { return other == m })
		}
		p.mu.Unlock()
		if last {
			w.Closer(m.model)()
		}
	})
}

// sharedKey identifies how a model is opened. what identifies its weights.
func sharedKey(s OpenSpec, what string) string {
	parts, err := json.Marshal(struct { // pointers by value
		Plugin, Isolation, Transport, DType, Backend, Activation string
		Constraints                                              PluginConstraints
		Limits                                                   recipes.Limits
		Layer                                                    *int
		Size                                                     adapters.Size
	}{s.Plugin, s.Isolation, s.Transport, s.DType, s.Backend, s.Model.Activation, s.Constraints, s.Limits, s.FeatureLayer, s.ImageSize})
	if err != nil {
		panic("workspace: the settings of a model cannot be JSON: " + err.Error()) // they are texts and numbers
	}
	return what + "\x00" + string(parts)
}
