"""Hooks of schemathesis: half of the generated requests are changed so that a bridge can answer them.

A schema cannot say that a model exists, that a picture can be read, or that two options exclude each other, so that
nearly all requests would be refused. The other half stays as it was generated. A value is changed only if the schema
allows it, because a request that is wrong on purpose must stay wrong.
"""

import zlib

import schemathesis


def chosen(value, of):
    """Returns the same number below `of` for the same value."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass")) % of


def within(value, least, most):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def name_pictures(messages):
    """Replaces the URLs of pictures by those of the kit."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            image = part.get("image_url") if isinstance(part, dict) else None
            if isinstance(image, dict) and isinstance(image.get("url"), str) and image["url"]:
                image["url"] = f"kit:held-out/{chosen(image['url'], 100)}"


def end_with_question(messages):
    """Adds a question at the end, where the last message may be anybody's or empty."""
    picture = {"type": "image_url", "image_url": {"url": f"kit:held-out/{chosen(messages, 100)}"}}
    messages.append({"role": "user", "content": [picture, {"type": "text", "text": "what is this?"}]})


def settle_options(body):
    """Changes options that exclude each other."""
    if "top_logprobs" in body and body.get("logprobs") in (None, False):
        body["logprobs"] = True
    if body.get("stream_options") is not None and body.get("stream") in (None, False):
        body["stream"] = True
    if body.get("logprobs") is True or within(body.get("temperature"), 1e-300, 2):
        if within(body.get("num_beams"), 1, 8) and isinstance(body["num_beams"], int):
            body["num_beams"] = 1
    if all(isinstance(body.get(k), int) and within(body[k], 1, 512) for k in ("max_tokens", "max_completion_tokens")):
        del body["max_tokens"]
    for name, most in (("max_tokens", 20), ("max_completion_tokens", 20), ("min_tokens", 1)):
        if isinstance(body.get(name), int) and within(body[name], most, 512):
            body[name] = most


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict) or not chosen(body, 2):
        return body
    if isinstance(body.get("model"), str) and body["model"]:
        body["model"] = "warm"
    messages = body.get("messages")
    if isinstance(messages, list) and 0 < len(messages) < 64:
        name_pictures(messages)
        end_with_question(messages)
    settle_options(body)
    return body
