"""Any Hugging Face causal or seq2seq language model as an adapter of bridge."""
import bridge_plugin as bp  # first: it redirects the standard output
from bridge_plugin import hf, hfgenerate, layout


class HuggingFace(bp.LanguageModel):
    generates = hfgenerate.CAPABILITIES

    def load(self, request):
        global torch, transformers
        torch, transformers = hf.libraries(request)
        request.refuse("activation")
        config = transformers.AutoConfig.from_pretrained(request.checkpoint)
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        dtype = torch.bfloat16 if request.dtype == bp.DType.BFLOAT16 else torch.float32
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = hf.open_model(kind, request.checkpoint, dtype=dtype).to(self.device)
        self.model.generation_config = transformers.GenerationConfig()  # only the request sets generation options
        self.layout, self.table = layout.Layout.of_transformers(request.checkpoint, config), self.model.get_input_embeddings()
        self.embeddings = self.table(torch.arange(len(self.table.weight), device=self.device)).float().cpu().numpy()
        return hf.language_spec(request, self.model, self.layout, self.embeddings)

    def inputs(self, batch, prompts):
        embeds, rows = self.table(torch.tensor(batch.ids, device=self.device)), torch.tensor(batch.rows, device=self.device)
        if prompts is not None:
            embeds = torch.where((rows >= 0)[..., None], prompts.flatten(0, 1)[rows.clamp(min=0)].to(embeds.dtype), embeds)
        return {"inputs_embeds": embeds, "attention_mask": torch.tensor(batch.mask, device=self.device)}

    def loss(self, request, context):
        prompts = None if request.prompts is None else torch.tensor(request.prompts, device=self.device, requires_grad=request.gradient)
        sequences, losses = self.layout.scored(request.examples, request.rows), torch.zeros(len(request.examples))
        for chosen, batch in self.layout.batches(sequences):
            context.check()
            inputs, targets = self.inputs(batch, prompts), torch.tensor(batch.targets, device=self.device)
            if self.layout.start is not None:
                inputs["decoder_input_ids"] = torch.tensor(batch.decoder, device=self.device)
            logits = self.model(**inputs).logits[torch.arange(len(chosen))[:, None], torch.tensor(batch.positions)].float()
            loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1)
            losses[chosen] = loss.detach().cpu()
            if loss.requires_grad:
                loss.sum().backward()
        return bp.LossResponse(losses.tolist(), [len(s.target) for s in sequences], prompts.grad.cpu().numpy() if request.gradient else None)

    def generate(self, request, context, emit):
        prompts = None if request.prompts is None else torch.tensor(request.prompts, device=self.device)

        def inputs(batch):
            inputs = self.inputs(batch, prompts)
            if self.layout.start is not None:  # transformers' default cache has as many layers as the encoder
                inputs["past_key_values"] = transformers.EncoderDecoderCache(transformers.DynamicCache(), transformers.DynamicCache())
            return inputs

        return hfgenerate.generate(self.model, self.layout, request, context, emit, inputs)

    score = bp.score_by_loss

    def embed_tokens(self, texts, context):
        return self.layout.tokenizer.embed(texts, self.embeddings)

    def count_tokens(self, texts, context):
        return self.layout.tokenizer.count(texts)


if __name__ == "__main__":
    bp.serve(HuggingFace)
