"""Which part of the bridge has to move, on SmolLM2-135M: python smollm2.py FOLDER PART:STEPS:SEED ... prints a line of JSON for each. A step has 4 pictures.

FOLDER is that of SmolLM2-135M as transformers saves it. The start is bridge's one for small-opt: the words' weights do not
depend on the new language model, only the words' embeddings do.
"""
import sys, time
from harness import *

D, lm = Data(), LM('SmolLM2-135M', sys.argv[1])
PROJECTION = ('word_projection', 'language_projection')
only = lambda *keys: (lambda name: float(any(k in name for k in keys + PROJECTION)))
PARTS = {'all': None, 'frozen': only(), 'cross': only('crossattention'), 'last2': only('layer.2', 'layer.3'), 'thaw': None,
         'projection-later': None}
RATES = {'qformer': 3e-4, 'scores': 1e-3}  # those of words in docs/swapping/opt-to-smollm2.toml
BATCH = 4


def start_in_words(seed):
    old, words = start(seed)
    b = Bridge(lm.width, len(words))
    state = {k: v for k, v in old.state_dict().items() if not k.startswith('language_projection')}
    state['word_projection.embeddings.weight'] = lm.words(words)
    b.load_state_dict(state, strict=False)
    nn.init.zeros_(b.language_projection.weight), nn.init.zeros_(b.language_projection.bias)
    return b


def held(part, steps):
    """Returns the hook that keeps the Q-Former (thaw) or the projection (projection-later) still for the first half of the steps."""
    def hook(n, b, opt):
        for name, p in b.named_parameters():
            if (group_of(name) == 'qformer') == (part == 'thaw'):
                p.requires_grad_(n >= steps / 2)
    return hook


def run(part, steps, seed):
    b, t = start_in_words(seed), time.process_time()
    if steps:
        train(D, lm, b, steps, seed, batch=BATCH, lrs=RATES, rate=PARTS[part], hook=held(part, steps) if part in ('thaw', 'projection-later') else None)
    t = time.process_time() - t
    _, loss, exact = D.evaluate(b, lm, 100)
    print(json.dumps({'part': part, 'steps': steps, 'seed': seed, 'loss': round(loss, 4), 'exact': exact, 'cpu_seconds': round(t)}), flush=True)


for job in sys.argv[2:]:
    part, steps, seed = job.split(':')
    run(part, int(steps), int(seed))
