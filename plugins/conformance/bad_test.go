package conformance

import "github.com/modular-bridging/bridge/plugins"
import "github.com/modular-bridging/bridge/adapters"
import "github.com/modular-bridging/bridge/adapters/adaptertest"
import "context"

func runPlugin(mode string) {
	plugins.Serve(
		adapters.Family{Name: string(adapters.KindLanguage), Kind: adapters.KindLanguage, OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return adaptertest.NewFakeLanguage(req.ID, 1), nil
		}},
		adapters.Family{Name: string(adapters.KindVision), Kind: adapters.KindVision, OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
			return adaptertest.NewFakeVision(req.ID, 1), nil
		}})
}
