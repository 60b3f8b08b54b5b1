package tasks

import "slices"

// Published is a model whose figures are in papers. It is recognised by its frozen models.
type Published struct {
	ID    string
	Title string
	// VisionFamily and VisionWidth, LanguageFamily and LanguageWidth identify the frozen models.
	// LanguageFamily is empty for a model of stage 1.
	VisionFamily   string
	VisionWidth    int
	LanguageFamily string
	LanguageWidth  int
	// PictureSize is the width of pictures in pixels. Models that were fine-tuned on COCO's
	// captions have 364, others 224.
	PictureSize int
}

// published are the models of the papers in tasks' tables.
var published = []Published{
	{"blip2-vit-l-opt-2.7b", "BLIP-2 ViT-L OPT-2.7B", "vit", 1024, "opt", 2560, 224},
	{"blip2-opt-2.7b", "BLIP-2 ViT-g OPT-2.7B", "eva", 1408, "opt", 2560, 224},
	{"blip2-opt-6.7b", "BLIP-2 ViT-g OPT-6.7B", "eva", 1408, "opt", 4096, 224},
	{"blip2-vit-l-flan-t5-xl", "BLIP-2 ViT-L FlanT5-XL", "vit", 1024, "t5", 2048, 224},
	{"blip2-flan-t5-xl", "BLIP-2 ViT-g FlanT5-XL", "eva", 1408, "t5", 2048, 224},
	{"blip2-flan-t5-xxl", "BLIP-2 ViT-g FlanT5-XXL", "eva", 1408, "t5", 4096, 224},
	{"blip2-vicuna-7b", "BLIP-2 ViT-g Vicuna-7B", "eva", 1408, "llama", 4096, 224},
	{"blip2-vicuna-13b", "BLIP-2 ViT-g Vicuna-13B", "eva", 1408, "llama", 5120, 224},
	{"blip2-opt-2.7b-coco", "BLIP-2 ViT-g OPT-2.7B, fine-tuned on COCO captions", "eva", 1408, "opt", 2560, 364},
	{"blip2-opt-6.7b-coco", "BLIP-2 ViT-g OPT-6.7B, fine-tuned on COCO captions", "eva", 1408, "opt", 4096, 364},
	{"blip2-flan-t5-xl-coco", "BLIP-2 ViT-g FlanT5-XL, fine-tuned on COCO captions", "eva", 1408, "t5", 2048, 364},
	{"blip2-itm-vit-l-coco", "BLIP-2 ViT-L, fine-tuned on COCO retrieval", "vit", 1024, "", 0, 364},
	{"blip2-itm-vit-g-coco", "BLIP-2 ViT-g, fine-tuned on COCO retrieval", "eva", 1408, "", 0, 364},
}

// PublishedModels returns the models whose figures tasks may have.
func PublishedModels() []Published { return slices.Clone(published) }

// PublishedModel returns a model by its id.
func PublishedModel(id string) (Published, bool) {
	i := slices.IndexFunc(published, func(p Published) bool { return p.ID == id })
	if i < 0 {
		return Published{}, false
	}
	return published[i], true
}

func publishedIDs() []string {
	ids := make([]string, len(published))
	for i, p := range published {
		ids[i] = p.ID
	}
	return ids
}
