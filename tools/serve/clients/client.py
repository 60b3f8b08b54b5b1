"""Uses a server as a program with the openai package does. clients_test.go runs it.

    python client.py URL URL_WITH_KEYS KEY
"""

import sys
import unittest

import openai

url, keyed_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)


def user(text=None, picture="kit:held-out/17"):
    parts = [{"type": "image_url", "image_url": {"url": picture}}]
    if text:
        parts.append({"type": "text", "text": text})
    return [{"role": "user", "content": parts}]


def create(messages=None, **options):
    return client.chat.completions.create(model="warm", messages=messages or user(), **options)


class Client(unittest.TestCase):
    def test_models(self):
        models = list(client.models.list())
        self.assertEqual([m.id for m in models], ["warm"])
        self.assertEqual(client.models.retrieve("warm").encoder, "tiny-vit")

    def test_caption_and_question(self):
        answer = create()
        self.assertEqual(answer.choices[0].message.content, "two umbrellas on a yellow background")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertIn("yellow", create(user("what color is the background?")).choices[0].message.content)

    def test_conversation(self):
        first = create(user("what is this?"))
        messages = user("what is this?") + [first.choices[0].message.model_dump(exclude_none=True), {"role": "user", "content": "what color is it?"}]
        self.assertTrue(create(messages).choices[0].message.content)

    def test_stream(self):
        whole = create()
        chunks = list(create(stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason], ["stop"])
        self.assertEqual(chunks[-1].usage, whole.usage)
        self.assertGreater(len(chunks), 5)

    def test_stream_helper(self):
        with client.chat.completions.stream(model="warm", messages=user()) as stream:
            text = "".join(e.delta for e in stream if e.type == "content.delta")
        self.assertEqual(text, create().choices[0].message.content)

    def test_stop(self):
        choice = create(stop=[" on"]).choices[0]
        self.assertEqual((choice.message.content, choice.finish_reason), ("two umbrellas", "stop"))

    def test_length(self):
        answer = create(max_completion_tokens=2)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 2))

    def test_several_sampled_answers(self):
        def texts():
            answer = create(n=6, temperature=2, top_p=0.99, seed=3, extra_body={"top_k": 0})
            return [c.message.content for c in answer.choices]

        first = texts()
        self.assertEqual(len(first), 6)
        self.assertGreater(len(set(first)), 1)
        self.assertEqual(texts(), first)

    def test_log_probabilities(self):
        choice = create(logprobs=True, top_logprobs=3).choices[0]
        self.assertTrue(choice.message.content in "".join(t.token for t in choice.logprobs.content))
        for token in choice.logprobs.content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].logprob, token.logprob)  # greedy
            self.assertEqual(bytes(token.bytes).decode(), token.token)

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="nothing", messages=user())
        self.assertEqual(caught.exception.code, "model_not_found")
        for param, options in {
            "max_tokens": {"max_tokens": 100000},
            "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "response_format": {"response_format": {"type": "json_object"}},
            "temprature": {"extra_body": {"temprature": 1}},
            "messages[0].content[0].image_url.url": {"messages": user(picture="https://example.org/a.png")},
        }.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                create(**options)
            self.assertEqual(caught.exception.param, param)
            self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_keys(self):
        for wrong in ("none", key[1:]):
            with self.assertRaises(openai.AuthenticationError) as caught:
                openai.OpenAI(base_url=keyed_url + "/v1", api_key=wrong, max_retries=0).models.list()
            self.assertEqual(caught.exception.code, "invalid_api_key")
        with openai.OpenAI(base_url=keyed_url + "/v1", api_key=key, max_retries=0) as keyed:
            self.assertEqual([m.id for m in keyed.models.list()], ["warm"])

    def test_leaving_a_stream(self):
        with create(stream=True, max_tokens=60, extra_body={"min_tokens": 60}) as stream:
            next(iter(stream))
        self.assertTrue(create().choices[0].message.content)


class AsyncClient(unittest.IsolatedAsyncioTestCase):
    async def test_many_at_once(self):
        import asyncio

        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0) as many:
            answers = await asyncio.gather(*(many.chat.completions.create(model="warm", messages=user(picture=f"kit:held-out/{i}")) for i in range(12)))
        for i, answer in enumerate(answers):
            alone = create(user(picture=f"kit:held-out/{i}"))
            self.assertEqual(answer.choices[0].message.content, alone.choices[0].message.content)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
