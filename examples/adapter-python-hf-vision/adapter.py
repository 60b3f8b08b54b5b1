"""Any Hugging Face vision model (CLIP, SigLIP, DINOv2, ViT, …) as an adapter of bridge."""
import bridge_plugin as bp  # first: it redirects the standard output
import inspect

from bridge_plugin import hf, images


class HuggingFaceVision(bp.VisionEncoder):
    def load(self, request):
        global torch, transformers
        torch, transformers = hf.libraries(request)
        request.refuse("activation")
        dtype = torch.bfloat16 if request.dtype == bp.DType.BFLOAT16 else torch.float32
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model = hf.open_model(transformers.AutoModel, request.checkpoint, dtype=dtype).to(self.device)
        self.model = getattr(model, "vision_model", model)  # for CLIP and other models with two towers
        self.layer = -1 if request.feature_layer is None else request.feature_layer
        side = self.model.config.image_size
        self.image = images.image_spec(request, self.model.config.model_type, side)
        resizes = (self.image.width, self.image.height) != (side, side)
        takes = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters  # DINOv2 always does
        self.options = {"interpolate_pos_encoding": True} if resizes and takes else {}
        gray = torch.zeros((1, self.image.height, self.image.width, 3), dtype=torch.uint8).numpy()
        return hf.vision_spec(request, self.model, self.features(gray), self.image, self.layer)

    def features(self, pictures):
        pixels = torch.from_numpy(images.normalize(pictures, self.image)).to(self.device, self.model.dtype)
        with torch.no_grad():
            states = self.model(pixels, output_hidden_states=True, **self.options).hidden_states
        return states[self.layer].float().cpu().numpy()

    def encode(self, request, context):
        features = []
        for at in range(0, len(request.images), 8):
            context.check()
            features.append(torch.from_numpy(self.features(request.images[at : at + 8])))
        return torch.cat(features).numpy()


if __name__ == "__main__":
    bp.serve(HuggingFaceVision)
