package adaptertest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// TestLanguage runs the cases of [Language]. open returns a model that is
// ready, as often as it is called; the suite closes it.
func TestLanguage(t *testing.T, open func() adapters.LanguageModel, options Options) {
	test(t, Language(options), open)
}

// Language lists the cases of language models.
func Language(o Options) []Case[adapters.LanguageModel] {
	l := &languageList{o: o}
	l.plain()
	l.calling = []string{PlainLoss}
	l.specs()
	l.losses()
	l.calling = []string{PlainGenerate}
	l.generations()
	l.rows()
	l.calling = []string{PlainLoss}
	l.optional()
	l.requests()
	l.calls()
	return l.cases
}

// The names of the cases that make the plainest calls, which others need.
const (
	PlainLoss     = "plain loss"
	PlainGenerate = "plain generate"
	PlainEncode   = "plain encode"
)

// fixPlain is the advice for a failure of the plainest call.
const fixPlain = "fix the error of your own code, or of its answer, that the message shows; the plugin's log has the traceback. The cases that need this call are skipped until it works"

// languageList collects the cases.
type languageList struct {
	o       Options
	calling []string // the cases of plain calls that the next ones need
	cases   []Case[adapters.LanguageModel]
}

// add appends a case. Without the capability that it needs it is skipped.
func (l *languageList) add(info Info, needs adapters.Capability, run func(*languageCases, T)) {
	calls := l.calling
	switch info.Name {
	case "spec, loaded again", "token norm", "embed tokens", "count tokens":
		calls = nil
	case "context", "request unchanged", "many examples", "empty parts", "canceled", "canceled at work", "at once",
		"capabilities", "generation: log-probabilities":
		calls = []string{PlainLoss, PlainGenerate}
	}
	l.cases = append(l.cases, Case[adapters.LanguageModel]{info, calls, func(t T, s Subject[adapters.LanguageModel]) {
		spec := s.Model.Spec()
		if needs != "" && !spec.Has(needs) {
			t.Skipf("the spec does not name the capability %q", needs)
		}
		run(&languageCases{m: s.Model, spec: spec, o: l.o.withDefaults(spec.DType, spec.TokenNorm), another: s.Another}, t)
	}})
}

func (l *languageList) plain() {
	l.add(Info{PlainLoss, "the model answers the simplest call, a loss of one text and target without soft prompts",
		ruleNumbers, fixPlain}, "", (*languageCases).testPlainLoss)
	l.add(Info{PlainGenerate, "the model answers the simplest call of this kind, a continuation of one text by up to two tokens",
		ruleGeneration, fixPlain}, "", (*languageCases).testPlainGenerate)
}

func (l *languageList) specs() {
	l.add(Info{"spec", "the spec is true and does not change: an id, a family, a digest of the weights, positive numbers",
		ruleSpec, "fill in every field of the spec once from the checkpoint, when the model is opened"}, "", (*languageCases).testSpec)
	l.add(Info{"spec, loaded again", "the same checkpoint has the same spec and digest each time it is loaded",
		ruleSpec, "hash the bytes of the weights in a fixed order; leave out times, paths and the order of a map"}, "", (*languageCases).testSpecAgain)
	l.add(Info{"capabilities", "each capability that the spec lists works, and the spec lists all that work",
		ruleSpec, "list in the spec's capabilities exactly those that the model serves; call req.Check(spec) (Go), or let the SDK check, so that the others are refused"}, "", (*languageCases).testCapabilities)
	l.add(Info{"token norm", "the spec's token norm is the mean norm of the token embeddings as they enter the model",
		ruleSpec, "take the mean of the rows' L2 norms after any scale that the model multiplies embeddings by"}, adapters.CapEmbedTokens, (*languageCases).testTokenNorm)
	l.add(Info{"context", "a sequence longer than the spec's context is refused with kind invalid, and not cut",
		ruleSpec, "count tokens and rows of soft prompts before computing, and refuse more than the spec's context_tokens; switch truncation off"}, "", (*languageCases).testContext)
}

func (l *languageList) losses() {
	l.add(Info{"loss", "the loss is Σ −log p over the target's tokens in nats, including the end token, and depends on the soft prompts",
		ruleNumbers, "sum (do not average) over the target and the end token only; put the rows of a prompt at the place of its segment"}, "", (*languageCases).testLoss)
	l.add(Info{"deterministic", "the same request gives the same losses and gradient, bit for bit",
		ruleCalls, "switch dropout and training mode off (torch: model.eval()), and use no random numbers"}, "", (*languageCases).testDeterministic)
	l.add(Info{"request unchanged", "the request belongs to the caller, and no call writes to it",
		ruleCalls, "copy the prompts before changing them"}, "", (*languageCases).testUnchanged)
	l.add(Info{"alone as in a batch", "padding changes nothing: alone or in any batch, an example has the same loss and gradient within tolerance",
		ruleNumbers, "mask padding in attention, do not count it in positions, and leave it out of the loss"}, "", (*languageCases).testAlone)
	l.add(Info{"texts are joined", "neighbouring texts of an example are joined to one string",
		ruleStrings, "join the texts between two soft prompts before tokenizing"}, "", (*languageCases).testJoined)
	l.add(Info{"prompts in bfloat16", "soft prompts may be float32 or bfloat16; the gradient is float32 either way",
		ruleNumbers, "convert the prompts to float32 when they arrive (Go: Tensor.ToFloat32)"}, "", (*languageCases).testPromptsNarrow)
	l.add(Info{"gradient", "the gradient is ∂(Σ Loss)/∂Prompts and agrees with finite differences; a model without a gradient refuses the request",
		ruleNumbers, "differentiate the sum of the batch's losses (not their mean) with respect to the prompts as they were sent; if the model has no gradient, leave the capability out, and refuse with kind unsupported and a remedy"}, "", (*languageCases).testGradient)
	l.add(Info{"gradient of an unused prompt", "a soft prompt that no example uses has gradient 0",
		ruleNumbers, "allocate the gradient for all M prompts, and leave zeros for those that are not used"}, adapters.CapGradient, (*languageCases).testUnusedPrompt)
}

func (l *languageList) generations() {
	l.add(Info{"generate", "an answer is trimmed text without special tokens; its pieces add up to it; it is the same alone or in a batch",
		ruleGeneration, "decode without special tokens, strip outer white space, count the end token; pad on the left or mask the padding"}, "", (*languageCases).testGenerate)
	for _, c := range optionCases() {
		l.add(Info{"generation: " + c.name, c.wants, ruleGeneration, c.fix()}, "", func(l *languageCases, t T) { l.testOption(t, c) })
	}
	l.add(Info{"generation: options that are no option", "an option that is out of range is refused with kind invalid",
		ruleGeneration, "call req.Check(spec) (Go), or let the SDK check"}, "", (*languageCases).testImpossibleOptions)
	l.add(Info{"generation: sampling with beams", "sampling together with beams is refused with kind unsupported",
		ruleGeneration, "refuse sample with num_beams above 1"}, "", (*languageCases).testSampledBeams)
	l.add(Info{"generation: sampling is sampled", "at a high temperature different seeds give different answers, or sampling is refused as unsupported",
		ruleGeneration, "draw from softmax(logits/temperature) with a generator seeded by seed; refuse sample if the model cannot do it"}, "", (*languageCases).testSampling)
	l.add(Info{"generation: repetition penalty is no empty word", "a repetition penalty changes an answer that repeats itself, or is refused as unsupported",
		ruleGeneration, "apply the penalty to the tokens generated so far; if the model cannot, refuse any penalty other than 1"}, "", (*languageCases).testPenalty)
	l.add(Info{"emit ends the call", "an error from emit ends the call, and the call returns it",
		ruleGeneration, "return emit's error at once (Python: stop when the call is cancelled)"}, "", (*languageCases).testEmit)
}

func (l *languageList) optional() {
	l.add(Info{"score", "a candidate's score is −Loss with the candidate as the target, float32[B, C]",
		ruleNumbers, "compute scores with the same code as the loss"}, adapters.CapScore, (*languageCases).testScore)
	l.add(Info{"embed tokens", "token embeddings are float32[T, D] with one surface for each row, for texts and for the whole vocabulary",
		ruleNumbers, "tokenize without special tokens; return one count for each text, none for the vocabulary"}, adapters.CapEmbedTokens, (*languageCases).testEmbedTokens)
	l.add(Info{"count tokens", "each text has a count of tokens, without special tokens; an empty text has 0",
		ruleNumbers, "tokenize without special tokens"}, adapters.CapCountTokens, (*languageCases).testCountTokens)
}

func (l *languageList) requests() {
	l.add(Info{"many examples", "64 examples give the same results as each example alone (16 if one takes long)",
		ruleNumbers, "split large batches into parts that fit in memory, and join the answers in order"}, "", (*languageCases).testMany)
	l.add(Info{"long texts", "a text that fills much of the context and a short one in the same batch give the same results as alone",
		ruleNumbers, "mask padding; look for a hard-coded length"}, "", (*languageCases).testLong)
	l.add(Info{"empty parts", "an empty text, an empty target and soft prompts without rows give numbers, or are refused with kind invalid",
		ruleRefusals, "an empty string has no tokens; the end token is always a target"}, "", (*languageCases).testEmpty)
	l.add(Info{"unicode", "any text has a finite loss: emoji, combining marks, right-to-left text",
		ruleStrings, "pass the text to the tokenizer unchanged; do not normalise, strip or encode it yourself"}, "", (*languageCases).testUnicode)
	l.add(Info{"nul", "a text with a NUL has a finite loss, or is refused with kind invalid or unsupported; it is never cut at the NUL",
		ruleStrings, "do not pass texts as C strings"}, "", (*languageCases).testNUL)
	l.add(Info{"special tokens in texts", "the name of a special token in a text is text, or is refused with kind invalid; a plugin that reads it as the token is told so",
		ruleStrings, "take the names of special tokens out of what the tokenizer looks for (Python: HFTokenizer does), or refuse a text whose tokens include one"}, "", (*languageCases).testSpecialNames)
	l.add(Info{"not UTF-8", "a text that is not valid UTF-8, such as a lone surrogate, is refused with kind invalid",
		ruleRefusals, "call req.Check(spec) (Go); the Python SDK refuses it for you"}, "", (*languageCases).testNotUTF8)
	l.add(Info{"prompts that are no numbers", "NaN or infinite prompts give an error or losses that are not finite, only for the examples that use them",
		ruleRefusals, "mask by selecting values (where), not by multiplying with 0; do not replace NaN by a number"}, "", (*languageCases).testNotFinite)
	l.add(Info{"refused", "a request that breaks the contract is refused with kind invalid: no examples, no segments, prompts that are missing or have another width or dtype",
		ruleRefusals, "call req.Check(spec) (Go), or let the SDK check, before you compute"}, "", (*languageCases).testRefused)
}

func (l *languageList) calls() {
	l.add(Info{"response is the caller's", "the response belongs to the caller, who may write to it",
		ruleCalls, "make a new tensor for each answer; do not return a buffer that you use again"}, "", (*languageCases).testOwned)
	l.add(Info{"canceled", "a call whose context has ended returns kind canceled, and the model keeps working",
		ruleCalls, "check the context before each part of the work"}, "", (*languageCases).testCanceled)
	l.add(Info{"canceled at work", "a call that is given up while it works ends soon, and the model keeps working",
		ruleCalls, "check the context (Python: context.cancelled) before each new token and each part of a batch"}, "", (*languageCases).testCanceledAtWork)
	l.add(Info{"at once", "calls from several goroutines give the same results as each call alone",
		ruleCalls, "queue the calls for the model: a lock around the computation is enough"}, "", (*languageCases).testAtOnce)
	l.add(Info{"closed", "close frees the model, and a second close does nothing; a call after it fails",
		ruleCalls, "keep a closed flag, and check it in every method"}, "", (*languageCases).testClosed)
}

// languageCases has what the cases of one model share.
type languageCases struct {
	m       adapters.LanguageModel
	spec    adapters.LanguageSpec
	o       Options
	another func(context.Context) (adapters.LanguageModel, error)
}

// prompts returns float32[m, Q, D] at the norm of the model's own embeddings.
func (l *languageCases) prompts(m int) *adapters.Tensor {
	p := adapters.NewTensor(adapters.Float32, m, l.o.QueryTokens, l.spec.Width)
	norm := float64(l.spec.TokenNorm)
	if norm == 0 {
		norm = 1
	}
	rng := rand.New(rand.NewPCG(11, 11))
	for i := range p.Float32s() {
		p.Float32s()[i] = float32(rng.NormFloat64() * norm / math.Sqrt(float64(l.spec.Width)))
	}
	return p
}

// request returns examples of unequal lengths: padding must not matter.
func (l *languageCases) request() *adapters.LossRequest {
	a, b := l.o.Texts[0], l.o.Texts[1]
	return &adapters.LossRequest{
		Prompts: l.prompts(2),
		Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment(a)}, Target: b},
			{Segments: []adapters.Segment{adapters.PromptSegment(1)}, Target: a},
			{Segments: []adapters.Segment{adapters.PromptSegment(1), adapters.TextSegment(a + b), adapters.PromptSegment(0)}, Target: b},
			{Segments: []adapters.Segment{adapters.TextSegment(a)}, Target: b},
		},
		Gradient: l.spec.Has(adapters.CapGradient),
	}
}

func (l *languageCases) loss(t T, req *adapters.LossRequest) *adapters.LossResponse {
	t.Helper()
	resp, err := l.m.Loss(t.Context(), req)
	if err != nil {
		t.Fatalf("loss: %v", err)
	}
	if err := resp.Check(l.spec, req); err != nil {
		t.Fatalf("loss: %v", err)
	}
	return resp
}

func (l *languageCases) generate(t T, req *adapters.GenerateRequest, emit func(adapters.Piece) error) *adapters.GenerateResponse {
	t.Helper()
	resp, err := l.m.Generate(t.Context(), req, emit)
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	if err := resp.Check(req); err != nil {
		t.Fatalf("generate: %v", err)
	}
	return resp
}

func (l *languageCases) generateRequest() *adapters.GenerateRequest {
	req := l.request()
	return &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples,
		Options: adapters.GenerateOptions{MaxNewTokens: 6}}
}

// plainExamples returns one example: a text with its target.
func (l *languageCases) plainExamples() []adapters.Example {
	return []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment(l.o.Texts[0])}, Target: l.o.Texts[1]}}
}

func (l *languageCases) testPlainLoss(t T) {
	l.loss(t, &adapters.LossRequest{Examples: l.plainExamples()})
}

// testPlainGenerate looks at no more than that there is an answer: the case "generate"
// holds it to the contract.
func (l *languageCases) testPlainGenerate(t T) {
	if _, err := l.m.Generate(t.Context(), &adapters.GenerateRequest{Examples: l.plainExamples(),
		Options: adapters.GenerateOptions{MaxNewTokens: 2}}, nil); err != nil {
		t.Fatalf("generate: %v", err)
	}
}

// exact reports whether batches of other shapes must give the same numbers. In bfloat16 a
// near tie may be decided differently.
func (l *languageCases) exact() bool { return l.spec.DType == adapters.Float32 }

func (l *languageCases) testLoss(t T) {
	req := l.request()
	resp := l.loss(t, req)
	for i, loss := range resp.Loss {
		if !(loss >= 0) || math.IsInf(float64(loss), 0) {
			t.Errorf("loss of example %d is %g, want a finite sum of −log p", i, loss)
		}
		if resp.Tokens[i] < 1 {
			t.Errorf("example %d has %d target tokens, want at least the end token", i, resp.Tokens[i])
		}
	}
	other := *req
	other.Prompts = l.prompts(2)
	slices.Reverse(other.Prompts.Float32s())
	changed := l.loss(t, &other)
	if changed.Loss[0] == resp.Loss[0] {
		t.Errorf("the loss does not depend on the soft prompts")
	}
	if changed.Loss[3] != resp.Loss[3] {
		wantClose(t, "loss of an example without soft prompts", changed.Loss[3:4], resp.Loss[3:4], l.o.Tolerance)
	}
	empty := &adapters.LossRequest{Examples: []adapters.Example{
		{Segments: []adapters.Segment{adapters.TextSegment(l.o.Texts[0])}},
	}}
	if got := l.loss(t, empty); got.Tokens[0] != 1 {
		t.Errorf("an empty target after a text has %d tokens, want the end token alone", got.Tokens[0])
	}
}

func (l *languageCases) testDeterministic(t T) {
	req := l.request()
	l.same(t, req, l.loss(t, req))
}

// same repeats a request and compares the response bit by bit.
func (l *languageCases) same(t T, req *adapters.LossRequest, want *adapters.LossResponse) {
	t.Helper()
	got := l.loss(t, req)
	if !slices.Equal(got.Loss, want.Loss) || !slices.Equal(got.Tokens, want.Tokens) {
		t.Errorf("the same request has the losses %v, then %v", want.Loss, got.Loss)
	}
	if req.Gradient {
		wantSame(t, "gradient of the same request", got.Gradient, want.Gradient)
	}
}

func (l *languageCases) testUnchanged(t T) {
	req, generate := l.request(), l.generateRequest()
	l.loss(t, req)
	if !reflect.DeepEqual(req, l.request()) {
		t.Errorf("loss has changed its request")
	}
	l.generate(t, generate, nil)
	if !reflect.DeepEqual(generate, l.generateRequest()) {
		t.Errorf("generate has changed its request")
	}
}

func (l *languageCases) testAlone(t T) {
	req := l.request()
	whole := l.loss(t, req)
	sum := make([]float32, len(req.Prompts.Float32s()))
	for i, e := range req.Examples {
		alone := *req
		alone.Examples = []adapters.Example{e}
		got := l.loss(t, &alone)
		wantClose(t, "loss of an example alone", got.Loss, whole.Loss[i:i+1], l.o.Tolerance)
		if got.Tokens[0] != whole.Tokens[i] {
			t.Errorf("example %d has %d tokens alone, %d in the batch", i, got.Tokens[0], whole.Tokens[i])
		}
		if req.Gradient {
			for j, g := range values(t, "gradient alone", got.Gradient) {
				sum[j] += g
			}
		}
	}
	if req.Gradient {
		wantClose(t, "sum of the gradients alone", sum, values(t, "gradient", whole.Gradient), l.o.Tolerance)
	}
}

func (l *languageCases) testJoined(t T) {
	a, b := l.o.Texts[0], l.o.Texts[1]
	ask := func(segments ...string) float32 {
		var s []adapters.Segment
		for _, text := range segments {
			s = append(s, adapters.TextSegment(text))
		}
		return l.loss(t, &adapters.LossRequest{Examples: []adapters.Example{{Segments: s, Target: b}}}).Loss[0]
	}
	wantClose(t, "loss after a text in two segments", []float32{ask(a[:len(a)/2], a[len(a)/2:])}, []float32{ask(a)}, l.o.Tolerance)
}

// testPromptsNarrow compares prompts in bfloat16 with the same numbers in
// float32.
func (l *languageCases) testPromptsNarrow(t T) {
	req, wide := l.request(), l.request()
	var err error
	if req.Prompts, err = req.Prompts.Convert(adapters.BFloat16); err != nil {
		t.Fatalf("%v", err)
	}
	if wide.Prompts, err = req.Prompts.Convert(adapters.Float32); err != nil {
		t.Fatalf("%v", err)
	}
	want, got := l.loss(t, wide), l.loss(t, req)
	wantClose(t, "losses with prompts in bfloat16", got.Loss, want.Loss, l.o.Tolerance)
	if req.Gradient {
		wantClose(t, "gradient with prompts in bfloat16", values(t, "gradient", got.Gradient), values(t, "gradient", want.Gradient), l.o.Tolerance)
	}
}

// testGradient compares with the central difference along random directions.
func (l *languageCases) testGradient(t T) {
	req := l.request()
	if !req.Gradient {
		_, err := l.m.Loss(t.Context(), &adapters.LossRequest{Prompts: req.Prompts, Examples: req.Examples, Gradient: true})
		wantKind(t, "gradient without the capability", err, adapters.Unsupported)
		var e *adapters.Error
		if errors.As(err, &e) && e.Remedy == "" {
			t.Errorf("a gradient is refused without a remedy: %v", err)
		}
		return
	}
	gradient := values(t, "gradient", l.loss(t, req).Gradient)
	at := func(direction []float32, step float64) float64 {
		moved := *req
		moved.Gradient = false
		moved.Prompts = l.prompts(2)
		for i, d := range direction {
			moved.Prompts.Float32s()[i] += float32(step * float64(d))
		}
		var sum float64
		for _, loss := range l.loss(t, &moved).Loss {
			sum += float64(loss)
		}
		return sum
	}
	norm := length(gradient)
	if norm == 0 {
		t.Fatalf("the gradient is zero")
	}
	along := make([]float32, len(gradient)) // the gradient's own direction, then random ones
	for i, g := range gradient {
		along[i] = float32(float64(g) / norm)
	}
	rng := rand.New(rand.NewPCG(13, 13))
	for try := range 3 {
		var want float64
		for i, g := range gradient {
			want += float64(g) * float64(along[i])
		}
		got := (at(along, l.o.Epsilon) - at(along, -l.o.Epsilon)) / (2 * l.o.Epsilon)
		if !(math.Abs(got-want) <= l.o.GradientTolerance*norm) {
			t.Errorf("along direction %d the loss changes by %g, by the gradient %g (its norm %g)", try, got, want, norm)
		}
		for i := range along {
			along[i] = float32(rng.NormFloat64())
		}
		for i, l := 0, length(along); i < len(along); i++ {
			along[i] /= float32(l)
		}
	}
}

// length returns the L2 norm.
func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func (l *languageCases) testUnusedPrompt(t T) {
	req := l.request()
	used := l.loss(t, req)
	req.Prompts = l.prompts(3)
	copy(req.Prompts.Data, l.prompts(2).Data)
	more := l.loss(t, req)
	wantClose(t, "losses beside a prompt that is not used", more.Loss, used.Loss, l.o.Tolerance)
	wantClose(t, "gradient beside a prompt that is not used", values(t, "gradient", more.Gradient.Slice(0, 2)),
		values(t, "gradient", used.Gradient), l.o.Tolerance)
	for i, g := range values(t, "gradient", more.Gradient.Slice(2, 3)) {
		if g != 0 {
			t.Errorf("element %d of the gradient of a prompt that no example uses is %g, want 0", i, g)
			return
		}
	}
}

func (l *languageCases) testGenerate(t T) {
	req := l.generateRequest()
	pieces := make([]string, len(req.Examples))
	streamed := l.generate(t, req, func(p adapters.Piece) error {
		if p.Example < 0 || p.Example >= len(pieces) {
			return adapters.Errorf(adapters.Invalid, "a piece of example %d of %d", p.Example, len(pieces))
		}
		pieces[p.Example] += p.Text
		return nil
	})
	plain := l.generate(t, req, nil)
	if !reflect.DeepEqual(plain, streamed) {
		t.Errorf("generate gives %+v, streamed %+v", plain, streamed)
	}
	for i, text := range plain.Texts {
		if text != strings.TrimSpace(text) {
			t.Errorf("answer %d is %q, want its outer white space trimmed", i, text)
		}
		if !utf8.ValidString(text) {
			t.Errorf("answer %d is %q, want valid UTF-8", i, text)
		}
		if got := strings.TrimSpace(pieces[i]); got != text {
			t.Errorf("the pieces of answer %d are %q, the answer is %q", i, got, text)
		}
		if n := plain.Tokens[i]; n < 1 || n > 6 {
			t.Errorf("answer %d has %d tokens, want 1 to 6", i, n)
		}
		l.answersAlone(t, req, plain, i)
	}
}

// answersAlone checks that example i gets the same text alone as in the batch.
func (l *languageCases) answersAlone(t T, req *adapters.GenerateRequest, whole *adapters.GenerateResponse, i int) {
	t.Helper()
	alone := *req
	alone.Examples = req.Examples[i : i+1]
	if got := l.generate(t, &alone, nil); l.exact() && got.Texts[0] != whole.Texts[i] {
		t.Errorf("answer %d alone is %q, in the batch %q", i, got.Texts[0], whole.Texts[i])
	}
}

func (l *languageCases) testEmit(t T) {
	stop, calls := errors.New("enough"), 0
	req := l.generateRequest()
	req.Options.MinNewTokens = 4
	_, err := l.m.Generate(t.Context(), req, func(adapters.Piece) error {
		calls++
		return stop
	})
	if calls > 1 || (calls == 1 && !errors.Is(err, stop)) {
		t.Errorf("emit returned an error; it was called %d times and generate returned %v", calls, err)
	}
}

// LossRequest returns the request that most cases use: four examples of unequal lengths
// and two soft prompts, with the gradient if the model computes it.
func LossRequest(spec adapters.LanguageSpec, o Options) *adapters.LossRequest {
	return (&languageCases{spec: spec, o: o.withDefaults(spec.DType, spec.TokenNorm)}).request()
}
