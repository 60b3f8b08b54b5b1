"""A PyTorch copy of bridge's swap from tiny-opt to small-opt, for quick trials of ideas.

It reads the kit's frozen models, the splits that tools/kit/splits writes, and a bridge that stands before
its first step. docs/swapping-ideas.md has the commands and the results.
"""
import json, math, os
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import load_file
from transformers import CLIPVisionModel, LlamaForCausalLM, OPTForCausalLM, T5ForConditionalGeneration, PreTrainedTokenizerFast

torch.set_num_threads(int(os.environ.get('THREADS', '1')))
torch.set_flush_denormal(True)
KIT, DATA = os.environ['KIT'], os.environ['DATA']  # the unpacked kit; the splits, and the starting bridges
QUESTIONS, BATCH = 0.35, 16
DROPOUT = 0.  # of the Q-Former while it trains


class Features:
    """float16[n, 65, 128], the encoder's features of the first n pictures. Each is computed once, when it is first read, and kept in DATA."""

    def __init__(self, split, n):
        shape = (n, 65, 128)
        self.px = torch.from_file(f'{DATA}/{split}.rgb', size=n * 12288, dtype=torch.uint8).view(n, 64, 64, 3)
        self.f = torch.from_file(f'{DATA}/{split}.{n}.features', shared=True, size=math.prod(shape), dtype=torch.float16).view(shape)
        self.done = torch.from_file(f'{DATA}/{split}.{n}.done', shared=True, size=n, dtype=torch.uint8)
        self.vit = CLIPVisionModel.from_pretrained(KIT + '/tiny-vit', dtype=torch.float32).eval()

    @torch.no_grad()
    def __getitem__(self, rows):
        rows = torch.arange(len(self.f))[rows]
        todo = rows[self.done[rows] == 0]
        mean, std = torch.tensor([.48145467, .45782751, .40821072]), torch.tensor([.26862955, .2613026, .2757771])
        for part in todo.split(250) if len(todo) else ():
            x = ((self.px[part].float() / 255 - mean) / std).permute(0, 3, 1, 2)
            self.f[part] = self.vit(x).last_hidden_state.half()
            self.done[part] = 1
        return self.f[rows]


def records(split):
    return [json.loads(line) for line in open(f'{DATA}/{split}.jsonl')]


class LM:
    """A frozen language model, of the kit or in a folder. An example is (prompt text, target text)."""

    def __init__(self, name, path=None):
        path = path or f'{KIT}/{name}'
        family = json.load(open(path + '/config.json'))['model_type']
        self.t5 = family == 't5'
        self.tok = PreTrainedTokenizerFast(tokenizer_file=path + '/tokenizer.json')
        kind = {'t5': T5ForConditionalGeneration, 'opt': OPTForCausalLM, 'llama': LlamaForCausalLM}[family]
        self.m = kind.from_pretrained(path, dtype=torch.float32).eval().requires_grad_(False)
        self.table = self.m.get_input_embeddings().weight
        self.norm, self.width = self.table.norm(dim=1).mean().item(), self.table.shape[1]
        self.end = self.ids('\n', False) if family == 'opt' else [self.m.config.eos_token_id]
        self.body = self.m.model.decoder if family == 'opt' else None if self.t5 else self.m.model
        self.cache = {}

    def ids(self, text, special):
        return self.tok(text, add_special_tokens=special)['input_ids']

    def encode(self, example):
        if example not in self.cache:
            before, target = example
            space = '' if self.t5 else ' '
            pre = self.ids(before, False) if self.t5 else self.ids(before, True)
            self.cache[example] = pre, self.ids(space + target, False) + self.end
        return self.cache[example]

    def logits(self, prompts, examples):
        """Returns the logits at all target tokens, flat, and the targets, with the row of each."""
        enc = [self.encode(e) for e in examples]
        row = torch.tensor([i for i, (_, t) in enumerate(enc) for _ in t])
        y = torch.tensor([x for _, t in enc for x in t])
        if self.t5:
            S, L = max(len(p) for p, _ in enc), max(len(t) for _, t in enc)
            ids, mask, lab = torch.zeros(len(enc), S, dtype=torch.long), torch.zeros(len(enc), S), torch.full((len(enc), L), -100)
            for i, (p, t) in enumerate(enc):
                ids[i, :len(p)], mask[i, :len(p)], lab[i, :len(t)] = torch.tensor(p), 1, torch.tensor(t)
            x = torch.cat([prompts, self.table[ids]], 1)
            mask = torch.cat([torch.ones(prompts.shape[:2]), mask], 1)
            out = self.m(inputs_embeds=x, attention_mask=mask, labels=lab).logits
            return out[lab != -100], y, row
        n = max(len(p) + len(t) - 1 for p, t in enc)
        ids, at = torch.zeros(len(enc), n, dtype=torch.long), []
        for i, (p, t) in enumerate(enc):
            s = p + t[:-1]
            ids[i, :len(s)] = torch.tensor(s)
            at += [(i, prompts.shape[1] + len(p) - 1 + k) for k in range(len(t))]
        h = self.body(inputs_embeds=torch.cat([prompts, self.table[ids]], 1)).last_hidden_state
        at = torch.tensor(at)
        return h[at[:, 0], at[:, 1]] @ self.m.lm_head.weight.T, y, row

    def loss(self, prompts, examples):
        z, y, _ = self.logits(prompts, examples)
        return F.cross_entropy(z, y)

    def words(self, words):
        space = '' if self.t5 else ' '
        return torch.stack([self.table[self.ids(space + w, False)].mean(0) for w in words])


class Attention(nn.Module):
    def __init__(self, d, dk):
        super().__init__()
        self.attention = nn.ModuleDict({'query': nn.Linear(d, d), 'key': nn.Linear(dk, d), 'value': nn.Linear(dk, d)})
        self.output = nn.ModuleDict({'dense': nn.Linear(d, d), 'LayerNorm': nn.LayerNorm(d, eps=1e-12)})

    def forward(self, x, kv):
        split = lambda t: t.view(t.shape[0], t.shape[1], 4, 32).transpose(1, 2)
        a = self.attention
        y = F.scaled_dot_product_attention(split(a['query'](x)), split(a['key'](kv)), split(a['value'](kv)))
        return self.output['LayerNorm'](x + F.dropout(self.output['dense'](y.transpose(1, 2).reshape(x.shape)), DROPOUT, self.training))


class Layer(nn.Module):
    def __init__(self, cross):
        super().__init__()
        self.attention = Attention(128, 128)
        if cross:
            self.crossattention = Attention(128, 128)
        self.intermediate_query = nn.ModuleDict({'dense': nn.Linear(128, 512)})
        self.output_query = nn.ModuleDict({'dense': nn.Linear(512, 128), 'LayerNorm': nn.LayerNorm(128, eps=1e-12)})

    def forward(self, x, f):
        x = self.attention(x, x)
        if hasattr(self, 'crossattention'):
            x = self.crossattention(x, f)
        o = self.output_query
        return o['LayerNorm'](x + F.dropout(o['dense'](F.gelu(self.intermediate_query['dense'](x))), DROPOUT, self.training))


class Bridge(nn.Module):
    """bridge's stage-2 bridge, with bridge's names. words is 0 for a linear projection."""

    def __init__(self, width, words=0, residual=True):
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, 10, 128))
        self.vision_model = nn.ModuleDict({'post_layernorm': nn.LayerNorm(128, eps=1e-5)})
        self.qformer = nn.ModuleDict({'layernorm': nn.LayerNorm(128, eps=1e-12),
                                      'encoder': nn.ModuleDict({'layer': nn.ModuleList([Layer(i % 2 == 0) for i in range(4)])})})
        self.language_projection = nn.Linear(128, width)
        if words:
            self.word_projection = nn.ModuleDict({'dense': nn.Linear(128, 256), 'scores': nn.Linear(256, words), 'embeddings': nn.Embedding(words, width)})
        self.inwords = words > 0

    def queries(self, f):
        f = self.vision_model['post_layernorm'](f.float())
        x = self.qformer['layernorm'](self.query_tokens.expand(len(f), -1, -1))
        for layer in self.qformer['encoder']['layer']:
            x = layer(x, f)
        return x

    def weights(self, q):
        w = self.word_projection
        return torch.softmax(w['scores'](F.gelu(w['dense'](q))), -1)

    def project(self, q):
        y = self.language_projection(q)
        return y + self.weights(q) @ self.word_projection['embeddings'].weight if self.inwords else y

    def forward(self, f):
        return self.project(self.queries(f))


def load(path, width, words=0):
    s = {k: v.float() for k, v in load_file(path).items()}
    b = Bridge(width, words)
    b.load_state_dict(s)
    return b


def start(seed, lm='small-opt', kind='words'):
    """Returns bridge's start of a swap: the bridge of a run whose rates were 1e-12, and its words."""
    d = f'{DATA}/start/{kind}-{lm}-{seed}/bridge'
    words = json.load(open(d + '/bridge.json')).get('projection_words') or []
    s = load_file(d + '/model.safetensors')
    return load(d + '/model.safetensors', s['language_projection.weight'].shape[0], len(words)), words


def group_of(name):
    if name.startswith('word_projection.embeddings'):
        return 'words'
    if name.startswith('word_projection'):
        return 'scores'
    if name.startswith('language_projection'):
        return 'residual'
    return 'qformer'


def cosine(n, steps, warmup, low=.03):
    """bridge's schedule, for step n counted from 0."""
    if n + 1 < warmup:
        return (n + 1) / warmup
    return low + (1 - low) * (1 + math.cos(math.pi * (n + 1 - warmup) / max(1, steps - warmup))) / 2 if n + 1 < steps else low


def constant_then_linear(part, low=.03):
    """A constant rate that falls linearly over the last part of the steps."""
    def f(n, steps, warmup):
        if n + 1 < warmup:
            return (n + 1) / warmup
        hold = steps * (1 - part)
        return 1. if n + 1 <= hold else low + (1 - low) * max(0., (steps - n - 1) / (steps - hold))
    return f


class Data:
    def __init__(self, n=16000):
        self.f, self.r = Features('train', n), records('train')[:n]
        self.hf, self.hr = Features('choose', 1000), records('choose')

    def batches(self, seed, steps, batch=BATCH, questions=QUESTIONS):
        """Yields (features, examples); batch is a number, or a function of the step."""
        g = torch.Generator().manual_seed(seed)
        order, at = torch.randperm(len(self.r), generator=g).tolist(), 0
        for n in range(steps):
            size = batch(n) if callable(batch) else batch
            if at + size > len(order):
                order, at = torch.randperm(len(self.r), generator=g).tolist(), 0
            rows, at = order[at:at + size], at + size
            ex = []
            for i in rows:
                r, u, k = self.r[i], torch.rand((), generator=g).item(), torch.randint(1 << 30, (), generator=g).item()
                if u < questions:
                    q, a = r['questions'][k % len(r['questions'])]
                    ex.append((f'Question: {q} Answer:', a))
                else:
                    ex.append(('a photo of', r['caption']))
            yield rows, self.f[rows], ex

    @torch.no_grad()
    def evaluate(self, b, lm, captions=1000, of=None, temperature=1.):
        """Returns the loss of the first 256 captions, that of all, and exact match. Greedy decoding writes
        the caption if and only if each of its tokens is the most likely one after those before.
        of = (features, records) replaces the held-out pictures. The logits are divided by the temperature."""
        features, held = of or (self.hf, self.hr)
        nll, tokens, right, first = 0., 0, 0, None
        b.eval()
        for k in range(0, captions, 128):
            end = min(k + 128, captions)
            ex = [('a photo of', r['caption']) for r in held[k:end]]
            z, y, row = lm.logits(b(features[k:end]), ex)
            nll += F.cross_entropy(z / temperature, y, reduction='sum').item()
            tokens += len(y)
            wrong = torch.zeros(len(ex)).index_add_(0, row, (z.argmax(-1) != y).float())
            right += (wrong == 0).sum().item()
            if k == 128:
                first = nll / tokens
        b.train()
        return first, nll / tokens, right / captions


def trainable(b, lm, lrs, wd=.05, rate=None):
    """Returns AdamW's groups with bridge's rates. rate(name) returns a factor of a parameter's rate, 0 to freeze it."""
    unit = lm.norm / math.sqrt(lm.width)
    peak = {'qformer': lrs.get('qformer', 3e-4), 'scores': lrs.get('scores', 1e-3), 'words': lrs.get('words', .02) * unit,
            'residual': lrs.get('residual', .003) * unit if b.inwords else lrs.get('scores', 1e-3)}
    groups = {}
    for name, p in b.named_parameters():
        g = group_of(name)
        lr = peak[g] * (rate(name) if rate else 1)
        p.requires_grad_(lr > 0)
        if lr > 0:
            decay = wd if p.dim() > 1 and (g in ('qformer', 'scores') or not b.inwords) else 0.
            groups.setdefault((lr, decay), []).append(p)
    return [{'params': ps, 'lr': lr, 'peak': lr, 'weight_decay': d} for (lr, d), ps in groups.items()]


class Average:
    """Averages of weights over the steps: tail means over the last part, and exponential ones."""

    def __init__(self, b, steps, tails=(), emas=()):
        self.b, self.steps = b, steps
        self.avg = {('tail', t): None for t in tails} | {('ema', e): None for e in emas}
        self.n = {k: 0 for k in self.avg}

    @torch.no_grad()
    def add(self, step):
        for key, (kind, v) in zip(self.avg, self.avg):
            if kind == 'tail' and step < self.steps * (1 - v):
                continue
            self.n[key] += 1
            w = 1 / self.n[key] if kind == 'tail' else max(1 - v, 1 / self.n[key])
            if self.avg[key] is None:
                self.avg[key] = {k: p.clone() for k, p in self.b.state_dict().items()}
            else:
                for k, p in self.b.state_dict().items():
                    self.avg[key][k].lerp_(p, w)


def train(data, lm, b, steps, seed, lrs={}, wd=.05, betas=(.9, .98), clip=1., schedule=cosine, batch=BATCH, rate=None,
          tails=(), emas=(), loss=None, hook=None, moments=None, warmup=None, optimizer=None):
    """Trains b as bridge does and returns its averages. loss(n, rows, f, examples) replaces the loss."""
    groups = trainable(b, lm, lrs, wd, rate)
    opt = optimizer(b, groups) if optimizer else torch.optim.AdamW(groups, lr=1., betas=betas, eps=1e-8, fused=True)
    if moments:
        moments(b, opt)
    ps = [p for g in opt.param_groups for p in g['params']]
    avg = Average(b, steps, tails, emas)
    warmup = round(steps * 20 / 320) if warmup is None else warmup
    for n, (rows, f, ex) in enumerate(data.batches(seed, steps, batch)):
        if hook:
            hook(n, b, opt)
        for g in opt.param_groups:
            g['lr'] = g['peak'] * schedule(n, steps, warmup)
        l = loss(n, rows, f, ex) if loss else lm.loss(b(f), ex)
        opt.zero_grad()
        l.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(ps, clip)
        opt.step()
        avg.add(n)
    return avg
