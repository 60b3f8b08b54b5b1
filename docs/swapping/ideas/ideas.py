"""Trials of ideas to make a swap cheaper: python ideas.py NAME STEPS SEED ... prints a line of JSON for each."""
import sys, time
import harness
from harness import *

D, small = Data(), LM('small-opt')
PART = lambda *keys: (lambda name: float(any(k in name for k in keys)))  # trains only these
PROJ = ('word_projection', 'language_projection')
began = 0.  # the process's seconds when the job began


def report(name, steps, seed, b, avg=None, lm=small, **more):
    def line(tag, bridge):
        first, loss, exact = D.evaluate(bridge, lm)
        print(json.dumps({'idea': name + tag, 'steps': steps, 'seed': seed, 'loss256': round(first, 4), 'loss': round(loss, 4),
                          'exact': exact, 'cpu_seconds': round(time.process_time() - began)} | more), flush=True)
    line('', b)
    if avg:
        for (kind, v), state in avg.avg.items():
            b.load_state_dict(state)
            line(f'+{kind}{v}', b)


def simple(prepare=None, averages=False, **kw):
    """An idea that changes arguments of train alone, or the bridge before it."""
    def run(name, steps, seed):
        b, words = start(seed)
        if prepare:
            b = prepare(b, words) or b
        scale = kw.get('scale', 1)
        args = {k: v for k, v in kw.items() if k != 'scale'}
        a = train(D, small, b, round(steps * scale), seed, tails=averages if isinstance(averages, tuple) else (.1, .25, .5) if averages else (), **args)
        report(name, steps, seed, b, a)
    return run


# a. Averages and the schedule.
IDEAS = {
    'base': simple(averages=True),
    'const': simple(averages=True, schedule=lambda n, s, w: min(1., (n + 1) / max(1, w))),
    'wsd.4': simple(schedule=constant_then_linear(.4)),
    'low0': simple(schedule=lambda n, s, w: cosine(n, s, w, 0.)),
    'beta2.99': simple(betas=(.9, .99)),
    'wd0': simple(wd=0.),
    'wd.2': simple(wd=.2),
    'hi': simple(lrs={'qformer': 6e-4, 'scores': 2e-3}),
    'hi-const': simple(averages=True, lrs={'qformer': 6e-4, 'scores': 2e-3}, schedule=lambda n, s, w: min(1., (n + 1) / max(1, w))),
    'batch8': simple(scale=2, batch=8),
    'batch8-lo': simple(scale=2, batch=8, lrs={'qformer': 2e-4, 'scores': 7e-4, 'words': .014, 'residual': .002}),
    'q1e-4': simple(lrs={'qformer': 1e-4}),
    'batch8-q1e-4': simple(scale=2, batch=8, lrs={'qformer': 1e-4}),
    'batch4-q5e-5-lo': simple(scale=4, batch=4, lrs={'qformer': 5e-5, 'scores': 5e-4, 'words': .01, 'residual': .0015}),
    'batch4-lo': simple(scale=4, batch=4, lrs={'qformer': 1.5e-4, 'scores': 5e-4, 'words': .01, 'residual': .0015}),
}


def grow(name, steps, seed):
    """Batches of 12 for two thirds of the steps, then of 24: as many examples as batches of 16."""
    b, _ = start(seed)
    a = train(D, small, b, steps, seed, batch=lambda n: 12 if n < 2 * steps / 3 else 24)
    report(name, steps, seed, b, a)


def drop(p):
    def run(name, steps, seed):
        harness.DROPOUT = p
        simple()(name, steps, seed)
        harness.DROPOUT = 0.
    return run


IDEAS |= {'grow': grow, 'dropout.1': drop(.1)}

# b. Which part moves.
def cached(scale, **kw):
    """The Q-Former is frozen, and its outputs are computed once, outside of the count of passes."""
    def run(name, steps, seed):
        b, _ = start(seed)
        def loss(n, rows, f, ex):
            with torch.no_grad():
                q = b.queries(f)
            return small.loss(b.project(q), ex)
        train(D, small, b, round(steps * scale), seed, rate=PART(*PROJ), loss=loss, **kw)
        report(name, steps, seed, b)
    return run


def layerwise(factor):
    """The last layer of the Q-Former has the whole rate, each layer before it so many times that of the next one."""
    def rate(name):
        if any(k in name for k in PROJ):
            return 1.
        return factor ** (3 - int(name.split('layer.')[1][0])) if 'layer.' in name else factor ** 4
    return rate


IDEAS |= {
    'frozen': cached(1),
    'batch8-frozen': cached(2, batch=8),
    'cross': simple(rate=PART('crossattention', *PROJ)),
    'last2': simple(rate=PART('layer.2', 'layer.3', *PROJ)),
    'layerwise': simple(rate=layerwise(.5)),
    'layerwise-hi': simple(lrs={'qformer': 6e-4}, rate=layerwise(.6)),
    'no-residual': simple(rate=lambda n: float('language_projection' not in n)),
    'no-words': simple(rate=lambda n: float('embeddings' not in n)),
}


def thaw(name, steps, seed):
    """The Q-Former is frozen for the first quarter of the steps."""
    b, _ = start(seed)
    def hook(n, b, opt):
        for p_name, p in b.named_parameters():
            if group_of(p_name) == 'qformer':
                p.requires_grad_(n >= steps / 4)
    train(D, small, b, steps, seed, hook=hook)
    report(name, steps, seed, b)


IDEAS['thaw'] = thaw


# c. Moments of the donor: of 60 batches of tiny-opt with the donor's linear projection, at rate 0.
def moments(scaled):
    def run(name, steps, seed):
        old, tiny = load(KIT + '/stage2/model.safetensors', 128), LM('tiny-opt')
        v = {}
        for rows, f, ex in D.batches(99, 60):
            old.zero_grad()
            tiny.loss(old(f), ex).backward()
            for n, p in old.named_parameters():
                v[n] = v.get(n, 0) * .98 + .02 * p.grad ** 2
        b, _ = start(seed)
        if scaled:  # to the size of the new gradients
            rows, f, ex = next(D.batches(98, 1, 64))
            small.loss(b(f), ex).backward()
            q = [n for n in v if group_of(n) == 'qformer']
            g2 = sum(p.grad.square().sum() for n, p in b.named_parameters() if n in q)
            k = g2 / sum(v[n].sum() for n in q)
            b.zero_grad()
        else:
            k = torch.tensor(1.)
        def set_(b, opt):
            for n, p in b.named_parameters():
                if n in v and group_of(n) == 'qformer':
                    opt.state[p] = {'step': torch.tensor(200.), 'exp_avg': torch.zeros_like(p), 'exp_avg_sq': v[n] * k}
        train(D, small, b, steps, seed, moments=set_)
        report(name, steps, seed, b, ratio=round(k.item(), 1))
    return run


IDEAS |= {'moments-v': moments(False), 'moments-v-scaled': moments(True)}


# d. The old bridge teaches.
def teacher(kind):
    def run(name, steps, seed):
        b, _ = start(seed)
        old, tiny = load(KIT + '/stage2/model.safetensors', 128).requires_grad_(False), LM('tiny-opt')
        surf = [tiny.tok.decode([i]) for i in range(len(tiny.table))]
        # A token of tiny-opt that is a word stands for the first token of that word in small-opt.
        to = torch.tensor([small.ids(s, False)[0] if s.startswith(' ') and s.strip() else -1 for s in surf])
        end = tiny.end[0]
        to[end] = small.end[0]
        ok = to >= 0
        def soft(n, rows, f, ex):
            zs, y, row = small.logits(b(f), ex)
            ce = F.cross_entropy(zs, y)
            with torch.no_grad():
                zt, yt, rowt = tiny.logits(old(f), ex)
            starts = lambda lm, y: [k for k in range(len(y)) if lm.tok.decode([y[k]]).startswith(' ') or y[k].item() == lm.end[0]]
            ks, kt = starts(small, y), starts(tiny, yt)
            if len(ks) != len(kt):
                return ce
            p = zt[kt].softmax(-1)
            q = torch.zeros(len(kt), zs.shape[1]).index_add_(1, to[ok], p[:, ok])
            q = q / q.sum(1, keepdim=True)
            kl = -(q * zs[ks].log_softmax(-1)).sum() / len(y)
            rest = [k for k in range(len(y)) if k not in set(ks)]
            hard = F.cross_entropy(zs[rest], y[rest], reduction='sum') / len(y) if rest else 0.
            return kl + hard
        said = [0, 0]
        @torch.no_grad()
        def say(f, ex):
            """The teacher's greedy texts. It says the label if the label's tokens are the most likely ones, otherwise it generates."""
            p, out = old(f), []
            z, y, row = tiny.logits(p, ex)
            wrong = torch.zeros(len(ex)).index_add_(0, row, (z.argmax(-1) != y).float())
            said[0], said[1] = said[0] + (wrong > 0).sum().item(), said[1] + len(ex)
            for i, (before, target) in enumerate(ex):
                if not wrong[i]:
                    out.append((before, target))
                    continue
                ids = tiny.encode((before, target))[0][:]
                for _ in range(24):
                    h = tiny.m(inputs_embeds=torch.cat([p[i:i + 1], tiny.table[torch.tensor([ids])]], 1)).logits[0, -1]
                    ids.append(h.argmax().item())
                    if ids[-1] == end:
                        break
                text = tiny.tok.decode(ids[len(tiny.encode((before, target))[0]):]).strip()
                out.append((before, text or target))
            return out
        def captions(n, rows, f, ex):
            return small.loss(b(f), say(f, ex))
        train(D, small, b, steps, seed, loss=soft if kind == 'soft' else captions)
        report(name, steps, seed, b, teacher_differs=said)
    return run


IDEAS |= {'teacher-soft': teacher('soft'), 'teacher-captions': teacher('captions')}


# e. Text teaches the words' prompts: word weights of a caption, by least squares from its bag of words.
def text(part):
    def run(name, steps, seed):
        b, words = start(seed)
        at = {w: i for i, w in enumerate(words)}
        def bag(c):
            x = torch.zeros(len(words) + 1)
            x[-1] = 1
            for k, w in enumerate(c.split()):
                x[at.get(w, at.get(w.rstrip('s'), len(words)))] += 1 if k < 3 else .5  # the order of two objects counts
            return x
        with torch.no_grad():
            q = torch.cat([b.weights(b.queries(D.f[k:k + 256])) for k in range(0, 2048, 256)])
        X = torch.stack([bag(D.r[i]['caption']) for i in range(2048)])
        A = torch.linalg.solve(X.T @ X + torch.eye(X.shape[1]), X.T @ q.flatten(1))
        r2 = 1 - ((X @ A - q.flatten(1)) ** 2).sum() / ((q.flatten(1) - q.flatten(1).mean(0)) ** 2).sum()
        n1 = round(steps * part)
        def loss(n, rows, f, ex):
            cap = [('a photo of', D.r[i]['caption']) for i in rows]
            w = (torch.stack([bag(c) for _, c in cap]) @ A).view(len(cap), 10, -1).clamp(min=0)
            w = w / w.sum(-1, keepdim=True)
            return small.loss(w @ b.word_projection['embeddings'].weight, cap)
        train(D, small, b, n1, seed + 500, loss=loss, rate=PART('embeddings'))
        first = D.evaluate(b, small)
        for p in b.parameters():
            p.requires_grad_(True)
        train(D, small, b, steps - n1, seed)
        report(name, steps, seed, b, after_text=[round(x, 4) for x in first], r2=round(r2.item(), 3))
    return run


IDEAS |= {'text.25': text(.25)}


# f. Prompt inversion.
def invert(pictures, iters, then):
    def run(name, steps, seed):
        b, _ = start(seed)
        ex = [('a photo of', D.r[i]['caption']) for i in range(pictures)]
        with torch.no_grad():
            q = torch.cat([b.queries(D.f[k:k + 64]) for k in range(0, pictures, 64)])
            p0 = b.project(q)
        p = p0.clone().requires_grad_(True)
        opt = torch.optim.AdamW([p], lr=.05, weight_decay=0.)
        for it in range(iters):
            opt.param_groups[0]['lr'] = .05 * (1 - it / iters)
            total = 0.
            for k in range(0, pictures, 64):
                l = small.loss(p[k:k + 64], ex[k:k + 64])
                (l * min(64, pictures - k) / pictures).backward()
                total += l.item() * min(64, pictures - k) / pictures
            opt.step()
            opt.zero_grad()
        with torch.no_grad():
            X, Y = torch.cat([q, torch.ones(*q.shape[:2], 1)], -1).flatten(0, 1), (p - p0).detach().flatten(0, 1)
            M = torch.linalg.solve(X.T @ X + 3. * torch.eye(129), X.T @ Y)
            r2 = 1 - ((X @ M - Y) ** 2).sum() / ((Y - Y.mean(0)) ** 2).sum()
            b.language_projection.weight += M[:-1].T
            b.language_projection.bias += M[-1]
            fitted = sum(small.loss(b(D.f[k:k + 64]), ex[k:k + 64]).item() for k in range(0, pictures, 64)) / (pictures / 64)
        held = D.evaluate(b, small)
        info = dict(inverted=round(total, 4), r2=round(r2.item(), 3), fitted_train=round(fitted, 4), fitted_held=[round(x, 4) for x in held])
        used = pictures * iters / 16
        if then and steps > used:
            train(D, small, b, round(steps - used), seed)
            report(name, steps, seed, b, **info)
        else:
            print(json.dumps({'idea': name, 'seed': seed} | info), flush=True)
    return run


IDEAS |= {'invert-64x60': invert(64, 60, False), 'invert-64x20': invert(64, 20, False), 'invert-256x5': invert(256, 5, False),
          'invert-256x1': invert(256, 1, True)}


# g. Geometry.
class PerQuery(Bridge):
    def project(self, q):
        y = self.weights(q) @ self.word_projection['embeddings'].weight + self.language_projection(q)
        return y + self.per_query_bias + (torch.einsum('bqd,qde->bqe', q, self.per_query) if self.full else 0.)


def per_query(full):
    def prepare(b, words):
        c = PerQuery(144, len(words))
        c.load_state_dict(b.state_dict())
        c.full = full
        c.per_query_bias = nn.Parameter(torch.zeros(10, 144))
        if full:
            c.per_query = nn.Parameter(torch.zeros(10, 128, 144))
        return c
    return prepare


def geometry(prepare, **kw):
    def run(name, steps, seed):
        old = harness.group_of
        harness.group_of = lambda n: 'residual' if n in ('per_query', 'per_query_bias', 'residual_a', 'residual_b') else old(n)
        simple(prepare, **kw)(name, steps, seed)
        harness.group_of = old
    return run


class LowRank(Bridge):
    def project(self, q):
        return self.weights(q) @ self.word_projection['embeddings'].weight + (q @ self.residual_a) @ self.residual_b + self.language_projection.bias


def low_rank(b, words):
    c = LowRank(144, len(words))
    c.load_state_dict(b.state_dict())
    c.residual_a, c.residual_b = nn.Parameter(torch.randn(128, 8) / 128 ** .5), nn.Parameter(torch.zeros(8, 144))
    return c


IDEAS |= {'per-query-bias': geometry(per_query(False)), 'per-query-map': geometry(per_query(True)),
          'low-rank': geometry(low_rank)}


class Whitened(Bridge):
    """The residual reads the Q-Former's outputs whitened over 512 pictures, within each query or over all of them."""
    def fit(self, within):
        with torch.no_grad():
            q = torch.cat([self.queries(D.f[k:k + 64]) for k in range(0, 512, 64)])
            self.mean = q.mean(0) if within else q.mean((0, 1))
            x = (q - self.mean).flatten(0, 1)
            values, vectors = torch.linalg.eigh(x.T @ x / len(x))
            self.white = vectors @ torch.diag((values + .01 * values.mean()).rsqrt()) @ vectors.T
            print(json.dumps({'whitening': 'within queries' if within else 'all queries', 'condition': round((values[-1] / values.mean()).item(), 1)}), flush=True)
        self.per_query_bias = nn.Parameter(torch.zeros(10, 144)) if within else 0.

    def project(self, q):
        return self.weights(q) @ self.word_projection['embeddings'].weight + self.language_projection((q - self.mean) @ self.white) + self.per_query_bias


def whitened(within):
    def prepare(b, words):
        c = Whitened(144, len(words))
        c.load_state_dict(b.state_dict())
        c.fit(within)
        return c
    return prepare


IDEAS |= {'whitened': geometry(whitened(False)), 'whitened-within': geometry(whitened(True)),
          'whitened-frozen': geometry(whitened(False), rate=lambda n: float(any(k in n for k in (*PROJ, 'per_query_bias')))),
          'whitened-batch8-q1e-4': geometry(whitened(False), scale=2, batch=8, lrs={'qformer': 1e-4})}


def maps(name, steps, seed):
    """Linear maps from the old soft prompts to new ones, fitted to shared tokens or words in closed form, before any step."""
    tiny, old = LM('tiny-opt'), load(KIT + '/stage2/model.safetensors', 128)
    _, words = start(seed)
    a, c = ({lm.tok.convert_ids_to_tokens(i): i for i in range(len(lm.table))} for lm in (tiny, small))
    shared = [(a[t], c[t]) for t in a if t in c]
    pairs = {'tokens': (tiny.table[[i for i, _ in shared]], small.table[[j for _, j in shared]]), 'words': (tiny.words(words), small.words(words))}
    n, ex = 256, [('a photo of', r['caption']) for r in D.hr[:256]]

    def roots(x):
        """Returns the matrix that whitens x, shrunk a little, and its inverse."""
        values, vectors = torch.linalg.eigh(x.T @ x / len(x))
        values = values + .1 * values.mean()
        return vectors @ torch.diag(values.rsqrt()) @ vectors.T, vectors @ torch.diag(values.sqrt()) @ vectors.T

    def rotation(x, y):
        u, _, v = torch.linalg.svd(x.T @ y, full_matrices=False)
        return u @ v

    with torch.no_grad():
        p = old(D.hf[:n])
        for dict_name, (E, N) in pairs.items():
            me, mn = E.mean(0), N.mean(0)
            x, y, q = E - me, N - mn, p - me
            ways = {'rotation': rotation(x, y), 'ridge': torch.linalg.solve(x.T @ x + .1 * x.square().sum() / 128 * torch.eye(128), x.T @ y)}
            (white, _), (white_new, colour_new) = roots(x), roots(y)
            white_prompts, _ = roots((p - p.mean((0, 1))).flatten(0, 1))
            ways['whitened by the table'] = white @ rotation(x @ white, y @ white_new) @ colour_new
            ways['whitened by the prompts'] = white_prompts @ rotation(x @ white_prompts, y @ white_new) @ colour_new
            for way, m in ways.items():
                for norms in ('one', 'query'):
                    new = q @ m + mn
                    size = new.norm(dim=2).mean((0, 1) if norms == 'one' else 0)
                    new = new * (small.norm / size).view(-1, 1) if norms == 'query' else new * (small.norm / size)
                    z, t, row = small.logits(new, ex)
                    wrong = torch.zeros(n).index_add_(0, row, (z.argmax(-1) != t).float())
                    print(json.dumps({'idea': f'maps: {dict_name} {way}', 'norms': norms, 'loss256': round(F.cross_entropy(z, t).item(), 4),
                                      'exact256': (wrong == 0).float().mean().item()}), flush=True)


IDEAS['maps'] = maps


# h. Closed forms before any step: sparse codes and relative spaces over tokens or words that both models have.
def sparse(name, steps, seed):
    tiny = LM('tiny-opt')
    old = load(KIT + '/stage2/model.safetensors', 128)
    _, words = start(seed)
    surf = lambda lm: {lm.tok.convert_ids_to_tokens(i): i for i in range(len(lm.table))}
    a, c = surf(tiny), surf(small)
    shared = [(a[t], c[t]) for t in a if t in c]
    dicts = {'tokens': (tiny.table[[i for i, _ in shared]], small.table[[j for _, j in shared]]), 'words': (tiny.words(words), small.words(words))}
    n, ex = 256, [('a photo of', r['caption']) for r in D.hr[:256]]
    with torch.no_grad():
        prompts, mean = old(D.hf[:n]), old(D.f[:n]).mean((0, 1))

        def score(tag, new):
            new = new * (small.norm / new.norm(dim=1).mean())
            z, y, row = small.logits(new.view(n, 10, 144), ex)
            wrong = torch.zeros(n).index_add_(0, row, (z.argmax(-1) != y).float())
            print(json.dumps({'idea': 'h: ' + tag, 'loss256': round(F.cross_entropy(z, y).item(), 4), 'exact256': (wrong == 0).float().mean().item()}), flush=True)
        for dn, (E, N) in dicts.items():
            for center in (False, True):
                tag = dn + (' centred' if center else '')
                x = (prompts - mean if center else prompts).flatten(0, 1)
                U, V = F.normalize(E, dim=1), F.normalize(N, dim=1)
                for k in (1, 4):  # orthogonal matching pursuit
                    idx, r = torch.zeros(len(x), 0, dtype=torch.long), x
                    for _ in range(k):
                        idx = torch.cat([idx, (r @ U.T).scatter(1, idx, -1e9).argmax(1, keepdim=True)], 1)
                        w = torch.linalg.lstsq(E[idx].transpose(1, 2), x.unsqueeze(2)).solution
                        r = x - (w.transpose(1, 2) @ E[idx]).squeeze(1)
                    score(f'pursuit {k} {tag}', (w.transpose(1, 2) @ N[idx]).squeeze(1))
                # relative: as similar to the new anchors as the old prompt was to the old ones
                score(f'relative {tag}', F.normalize(x, dim=1) @ U.T @ torch.linalg.pinv(V.T, rcond=.1))


IDEAS['sparse'] = sparse


# i. A surrogate: layers 0, 1 and 4 of 5, whose last one is trained on the start's prompts; 3/5 of a pass each.
def surrogate(name, steps, seed):
    b, _ = start(seed)
    s = LM('small-opt')
    layers = s.m.model.decoder.layers
    s.m.model.decoder.layers = nn.ModuleList([layers[0], layers[1], layers[4]])
    budget = steps / 4  # of whole passes
    fit, n1 = round(budget / .6 * .4), round(budget / .6 * .6)
    for p in layers[4].parameters():
        p.requires_grad_(True)
    opt = torch.optim.AdamW([p for p in layers[4].parameters()], lr=1e-3)
    for rows, f, ex in D.batches(seed + 700, fit):
        with torch.no_grad():
            p = b(f)
        l = s.loss(p, ex)
        opt.zero_grad()
        l.backward()
        opt.step()
    layers[4].requires_grad_(False)
    train(D, s, b, n1, seed + 500)
    sur, whole = D.evaluate(b, s), D.evaluate(b, small)
    for p in b.parameters():
        p.requires_grad_(True)
    train(D, small, b, round(steps - budget), seed)
    r4 = lambda x: [round(v, 4) for v in x]
    report(name, steps, seed, b, surrogate=r4(sur), whole=r4(whole))


IDEAS['surrogate'] = surrogate


# j. Second order.
class Muon(torch.optim.AdamW):
    """AdamW, and for matrices of the Q-Former the orthogonalised momentum (Muon), with updates of AdamW's usual size."""

    def __init__(self, groups, matrices, factor):
        super().__init__(groups, lr=1., betas=(.9, .98), eps=1e-8)
        self.matrices, self.factor, self.buf = {id(p) for p in matrices}, factor, {}

    @torch.no_grad()
    def step(self):
        held = []
        for g in self.param_groups:
            for p in g['params']:
                if id(p) in self.matrices and p.grad is not None:
                    m = self.buf.setdefault(id(p), torch.zeros_like(p))
                    m.mul_(.95).add_(p.grad)
                    u = p.grad + .95 * m
                    x = u / (u.norm() + 1e-7)
                    t = x.shape[0] > x.shape[1]
                    x = x.T if t else x
                    for _ in range(5):
                        A = x @ x.T
                        x = 3.4445 * x + (-4.775 * A + 2.0315 * A @ A) @ x
                    x = x.T if t else x
                    p.mul_(1 - g['lr'] * g['weight_decay']).add_(x, alpha=-g['lr'] * self.factor * .2 * max(p.shape) ** .5)
                    held.append((p, p.grad))
                    p.grad = None
        super().step()
        for p, gr in held:
            p.grad = gr


def muon(factor, scores=True):
    def make(b, groups):
        mats = [p for n, p in b.named_parameters() if p.dim() == 2 and ('layer.' in n or scores and ('dense' in n or 'scores' in n))]
        return Muon(groups, mats, factor)
    return make


IDEAS |= {'muon1': simple(optimizer=muon(1.)), 'muon2': simple(optimizer=muon(2.))}


def lbfgs(pictures, evaluations, parts=PROJ):
    """L-BFGS of the projection on the cached Q-Former outputs of a few pictures, then the steps that are left."""
    def run(name, steps, seed):
        b, _ = start(seed)
        ex = [('a photo of', D.r[i]['caption']) for i in range(pictures)]
        with torch.no_grad():
            q = torch.cat([b.queries(D.f[k:k + 64]) for k in range(0, pictures, 64)])
        ps = [p for k, p in b.named_parameters() if any(x in k for x in parts)]
        opt = torch.optim.LBFGS(ps, lr=1., max_iter=evaluations, max_eval=evaluations, line_search_fn='strong_wolfe')
        losses = []
        def closure():
            opt.zero_grad()
            total = 0.
            for k in range(0, pictures, 64):
                l = small.loss(b.project(q[k:k + 64]), ex[k:k + 64]) * len(q[k:k + 64]) / pictures
                l.backward()
                total += l.item()
            losses.append(round(total, 4))
            return torch.tensor(total)
        opt.step(closure)
        b.zero_grad()
        left = round(steps - len(losses) * pictures / 16)  # a line search may evaluate once or twice more than asked for
        after = D.evaluate(b, small)
        info = dict(after_lbfgs=[round(x, 4) for x in after], losses=losses, steps_left=left)
        if left > 0:
            train(D, small, b, left, seed)
        report(name, steps, seed, b, **info)
    return run


IDEAS |= {'lbfgs-64x5': lbfgs(64, 5), 'lbfgs-128x8': lbfgs(128, 8), 'lbfgs-128x8-map': lbfgs(128, 8, ('embeddings', 'language_projection'))}


# k. A donor that was trained further, in words, through one or two language models in turns.
def donor(models, n):
    def run(name, steps, seed):
        path = f'{DATA}/donor-{"-".join(models)}-{n}-{seed}.pt'
        b, words = start(seed)
        if not os.path.exists(path):
            lms = [LM(m) for m in models]
            tables = [m.words(words) for m in lms]
            def loss(k, rows, f, ex):
                m = k % len(lms)
                return lms[m].loss(b.weights(b.queries(f)) @ tables[m], ex)
            train(D, small, b, n, seed + 900, loss=loss, rate=PART('qformer', 'query_tokens', 'post_layernorm', 'dense', 'scores'),
                  lrs={'qformer': 6e-4, 'scores': 2e-3})
            with torch.no_grad():
                for m, t in zip(lms, tables):
                    c = nn.Module()
                    fwd = lambda f, t=t: b.weights(b.queries(f)) @ t
                    c.forward = fwd
                    print(json.dumps({'donor': name, 'seed': seed, 'of': [round(x, 4) for x in D.evaluate(c, m)]}), flush=True)
            torch.save(b.state_dict(), path)
        b, _ = start(seed)
        b.load_state_dict(torch.load(path))
        for p in b.parameters():
            p.requires_grad_(True)
        first = D.evaluate(b, small)
        train(D, small, b, steps, seed)
        report(name, steps, seed, b, before=[round(x, 4) for x in first])
    return run


IDEAS |= {'donor-one': donor(('tiny-opt',), 200), 'donor-two': donor(('tiny-opt', 'tiny-flan-t5'), 200)}


# l. Batches of 4 and a slow Q-Former, from batch4-q5e-5-lo: one change each.
FOUR = {'qformer': 5e-5, 'scores': 5e-4, 'words': .01, 'residual': .0015}


def four(lrs={}, times=1., **kw):
    """batch4-q5e-5-lo with some rates replaced, all of them times a factor, or other arguments of train."""
    return simple(**{'scale': 4, 'batch': 4} | kw, lrs={k: v * times for k, v in (FOUR | lrs).items()})


def flat(low):
    """The cosine that ends at a higher rate, for averages."""
    return lambda n, s, w: cosine(n, s, w, low)


IDEAS |= {
    'b4-all2': four(times=2.), 'b4-all.5': four(times=.5),
    'b4-residual2': four({'residual': .003}), 'b4-residual.5': four({'residual': .00075}),
    'b4-words2': four({'words': .02}), 'b4-words.5': four({'words': .005}),
    'b4-scores2': four({'scores': 1e-3}), 'b4-scores.5': four({'scores': 2.5e-4}),
    'b4-q1e-4': four({'qformer': 1e-4}), 'b4-q2e-5': four({'qformer': 2e-5}),
    'b2': four(times=.5 ** .5, scale=8, batch=2), 'b2-same': four(scale=8, batch=2), 'b2-half': four(times=.5, scale=8, batch=2),
    'b2-beta': four(times=.5 ** .5, scale=8, batch=2, betas=(.95, .99)),
    'b4-beta2.99': four(betas=(.9, .99)), 'b4-beta2.999': four(betas=(.9, .999)), 'b4-beta1.95': four(betas=(.95, .99)),
    'b4-wd0': four(wd=0.), 'b4-wd.2': four(wd=.2), 'b4-noclip': four(clip=0.), 'b4-clip.3': four(clip=.3),
    'b4-warm': four(warmup=256), 'b4-low0': four(schedule=flat(0.)),
    'b4-flat': four(averages=(.5,), emas=(.99,), schedule=flat(.3)),
    'b4-all2-flat': four(times=2., averages=(.5,), emas=(.99,), schedule=flat(.3)),
    'b4-const': four(averages=(.5,), emas=(.99,), schedule=flat(1.)),
}


def halves(name, steps, seed):
    """The Q-Former is frozen for the first half of the steps."""
    def hook(n, b, opt):
        for p_name, p in b.named_parameters():
            if group_of(p_name) == 'qformer':
                p.requires_grad_(n >= 2 * steps)
    four(hook=hook)(name, steps, seed)


IDEAS |= {'b4-frozen': cached(4, batch=4, lrs=FOUR), 'b4-thaw.5': halves}


def limits(name, steps, seed):
    """batch4-q5e-5-lo, then what its loss is made of: pictures that it was trained on, others of that kind, held-out ones, and the temperature."""
    b, _ = start(seed)
    four_steps = 4 * steps
    train(D, small, b, four_steps, seed, lrs=FOUR, batch=4)
    order = torch.randperm(len(D.r), generator=torch.Generator().manual_seed(seed)).tolist()
    for kind, rows in (('seen', order[:1000]), ('seen last', order[4 * four_steps - 1000:4 * four_steps]), ('unseen', order[-1000:])):
        print(json.dumps({'idea': name, 'seed': seed, 'steps': steps, 'pictures': kind,
                          'of': [round(x, 4) for x in D.evaluate(b, small, of=(D.f[rows], [D.r[i] for i in rows]))]}), flush=True)
    print(json.dumps({'idea': name, 'seed': seed, 'steps': steps,
                      'temperatures': {t: round(D.evaluate(b, small, temperature=t)[1], 4) for t in (.8, 1.25, 1.5)}}), flush=True)
    report(name, steps, seed, b)


IDEAS['b4-limits'] = limits


class SOAP(torch.optim.AdamW):
    """AdamW, and for some matrices AdamW in the eigenbasis of Shampoo's preconditioner (SOAP, arXiv 2409.11321)."""

    def __init__(self, groups, matrices, every=5, beta=.95):
        super().__init__(groups, lr=1., betas=(.9, .98), eps=1e-8)
        self.matrices, self.every, self.beta, self.kept = {id(p) for p in matrices}, every, beta, {}

    @torch.no_grad()
    def step(self):
        held = []
        for g in self.param_groups:
            for p in g['params']:
                if id(p) in self.matrices and p.grad is not None:
                    self.turned(p, g)
                    held.append((p, p.grad))
                    p.grad = None
        super().step()
        for p, gr in held:
            p.grad = gr

    def turned(self, p, group):
        x, s = p.grad, self.kept.setdefault(id(p), {'n': 0})
        sides = (x @ x.T, x.T @ x)
        if not s['n']:
            s |= {'n': 1, 'sides': list(sides), 'm': torch.zeros_like(x), 'v': torch.zeros_like(x),
                  'basis': [torch.linalg.eigh(c + 1e-12 * torch.eye(len(c)))[1] for c in sides]}
            return  # the first gradient only makes the basis
        u, w = s['basis']
        for c, new in zip(s['sides'], sides):
            c.lerp_(new, 1 - self.beta)
        s['m'].lerp_(x, .1)
        s['v'].lerp_((u.T @ x @ w).square(), .02)
        n = s['n']
        step = (u.T @ s['m'] @ w) / (1 - .9 ** n) / ((s['v'] / (1 - .98 ** n)).sqrt() + 1e-8)
        p.mul_(1 - group['lr'] * group['weight_decay']).add_(u @ step @ w.T, alpha=-group['lr'])
        s['n'] += 1
        if n % self.every == 0:  # one step of power iteration; columns keep the order of their eigenvalues
            for k, c in enumerate(s['sides']):
                q = s['basis'][k]
                order = (q * (c @ q)).sum(0).argsort(descending=True)
                s['basis'][k] = torch.linalg.qr(c @ q[:, order])[0]
                s['v'] = s['v'][order] if k == 0 else s['v'][:, order]


def matrices(b, *keys):
    return [p for n, p in b.named_parameters() if p.dim() == 2 and any(k in n for k in keys)]


QF, MAP, WORDS = ('layer.',), ('language_projection',), ('word_projection.dense', 'word_projection.scores')


def soap(*keys, **kw):
    return four(optimizer=lambda b, groups: SOAP(groups, matrices(b, *keys)), **kw)


def muon4(*keys, factor=1., **kw):
    return four(optimizer=lambda b, groups: Muon(groups, matrices(b, *keys), factor), **kw)


IDEAS |= {
    'b4-soap-map': soap(*MAP), 'b4-soap-words': soap(*MAP, *WORDS), 'b4-soap': soap(*MAP, *WORDS, *QF), 'b4-soap2': soap(*MAP, *WORDS, *QF, times=2.),
    'b4-muon-q': muon4(*QF), 'b4-muon-words': muon4(*MAP, *WORDS), 'b4-muon': muon4(*MAP, *WORDS, *QF),
    'b4-muon.5': muon4(*MAP, *WORDS, *QF, factor=.5), 'b4-muon2': muon4(*MAP, *WORDS, *QF, factor=2.),
}


# m. Which pictures: with most captions right, most passes teach nothing. 4 of 16 candidates are trained on, in the recipe's mix of questions.
def chosen(how, candidates=16, hard=.5, size=4, **kw):
    """A place of the batch goes with this probability to the candidate with the highest score, otherwise to any.

    how = tokens: a score is the sum of the running losses of an example's target tokens, which needs no pass;
    words: the entropy of the words' weights, a forward pass of the Q-Former for each candidate;
    forward: its loss, a forward pass of the language model for each candidate."""
    def run(name, steps, seed):
        b, _ = start(seed)
        running, g = torch.ones(len(small.table)), torch.Generator().manual_seed(seed + 77)

        @torch.no_grad()
        def scores(f, ex):
            if how == 'tokens':
                return [running[small.encode(e)[1]].sum().item() for e in ex]
            if how == 'words':
                w = b.weights(b.queries(f))
                return (-(w * (w + 1e-9).log()).sum(-1)).sum(-1).tolist()
            z, y, row = small.logits(b(f), ex)
            return torch.zeros(len(ex)).index_add_(0, row, F.cross_entropy(z, y, reduction='none')).tolist()

        def loss(n, rows, f, ex):
            asks, score, pick = [e[0] != 'a photo of' for e in ex], scores(f, ex), []
            for kind in asks[:size]:  # any candidate's kind, so the mix stays
                free = [i for i in range(len(ex)) if asks[i] == kind and i not in pick]
                if torch.rand((), generator=g).item() < hard:
                    pick.append(max(free, key=lambda i: score[i]))
                else:
                    pick.append(free[torch.randint(len(free), (), generator=g).item()])
            z, y, _ = small.logits(b(f[pick]), [ex[i] for i in pick])
            each = F.cross_entropy(z, y, reduction='none')
            with torch.no_grad():
                for t, l in zip(y.tolist(), each.tolist()):
                    running[t] += .05 * (l - running[t])
            return each.mean()

        train(D, small, b, steps * 16 // size, seed, loss=loss, batch=candidates, **{'lrs': FOUR} | kw)
        report(name, steps, seed, b)
    return run


IDEAS |= {'b4-hard-tokens': chosen('tokens'), 'b4-hard-words': chosen('words'), 'b4-hard-forward': chosen('forward', candidates=12),
          'b4-harder-tokens': chosen('tokens', candidates=24, hard=.75), 'b4-harder-words': chosen('words', candidates=24, hard=.75),
          'b2-harder-tokens': chosen('tokens', candidates=12, hard=.75, size=2, lrs={k: v * .5 ** .5 for k, v in (FOUR | {'qformer': 1e-4}).items()})}


# n. Against confident errors on pictures of another kind.
def noise(part):
    """Normal noise on the soft prompts while training, this part of their norm."""
    def run(name, steps, seed):
        b, _ = start(seed)
        def loss(n, rows, f, ex):
            p = b(f)
            return small.loss(p + part * p.detach().norm(dim=-1, keepdim=True) * torch.randn_like(p) / small.width ** .5, ex)
        torch.manual_seed(seed)
        train(D, small, b, 4 * steps, seed, loss=loss, batch=4, lrs=FOUR)
        report(name, steps, seed, b)
    return run


def dropped(p):
    def run(name, steps, seed):
        harness.DROPOUT = p
        torch.manual_seed(seed)
        four()(name, steps, seed)
        harness.DROPOUT = 0.
    return run


IDEAS |= {'b4-noise.2': noise(.2), 'b4-noise.5': noise(.5), 'b4-dropout.1': dropped(.1)}


def serve(queue, out, children):
    """Forks a process for each line of a file of jobs, at most so many at a time; new lines may be added meanwhile."""
    done, running = 0, 0
    while True:
        lines = [x for x in open(queue).read().split('\n') if x]
        if done < len(lines) and running < children:
            if os.fork() == 0:
                sys.stdout = open(out, 'a')
                run(lines[done].split())
                sys.stdout.flush()
                os._exit(0)
            done, running = done + 1, running + 1
        elif running:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            running -= pid > 0
            time.sleep(2)
        else:
            time.sleep(2)


def run(jobs):
    global began
    for job in jobs:  # NAME:STEPS:SEED
        began = time.process_time()
        name, steps, seed = job.split(':')
        IDEAS[name](name, int(steps), int(seed))


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    run(sys.argv[1:])
