// Calls the server: models, answers, grounding, and the kit's pictures.
import { readEvents } from "./events.js";

// Failure is an error that a person can read. kind is "network" if the server was not reached,
// "cut" if an answer broke off, "key" if the server wants another API key, "busy" if it asks to
// try again after some seconds, "stopped" if the person stopped it, and "refused" otherwise.
export class Failure extends Error {
	constructor(kind, message, { remedy = "", after = 0, status = 0 } = {}) {
		super(message);
		Object.assign(this, { kind, remedy, after, status });
	}

	// sentence returns the message and the remedy as one text.
	get sentence() {
		return [this.message, this.remedy].filter(Boolean).map(s => s.replace(/\.$/, "")).join(". ") + ".";
	}
}

// Api calls the server that the page is from. key returns the API key, or "" for none.
export class Api {
	constructor(key, base = new URL(".", document.baseURI)) {
		this.key = key;
		this.base = base;
	}

	// models returns the list of the server's bridges.
	async models() {
		return (await this.#json("v1/models")).data;
	}

	// kit returns the pictures of the kit to begin with.
	async kit() {
		return (await this.#json("talk/kit.json")).pictures;
	}

	// alive reports whether the server answers at all.
	async alive() {
		try {
			return (await fetch(new URL("healthz", this.base), { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok;
		} catch {
			return false;
		}
	}

	// answer asks a question and calls piece with each piece of the answer. It returns the reason
	// for which the answer ended and the numbers of tokens.
	async answer(request, signal, piece) {
		const response = await this.#post("v1/chat/completions", { ...request, stream: true, stream_options: { include_usage: true } }, signal);
		let finish = "", usage = null, done = false;
		try {
			for await (const data of readEvents(response.body)) {
				if (data === "[DONE]") {
					done = true;
					continue; // to the end of the body, so that the browser keeps the connection
				}
				const chunk = JSON.parse(data);
				if (chunk.error) throw failureOf(response, chunk.error);
				if (chunk.usage) usage = chunk.usage;
				for (const choice of chunk.choices) {
					if (choice.delta?.content) piece(choice.delta.content);
					if (choice.finish_reason) finish = choice.finish_reason;
				}
			}
		} catch (error) {
			throw error instanceof Failure ? error : failed(error, signal, "cut");
		}
		if (!done) throw new Failure("cut", "The server ended the answer before it was complete.", { remedy: "Ask again." });
		return { finish, usage };
	}

	// grounding measures how likely an answer is with the picture, with another and with none.
	async grounding(request, signal) {
		return this.#read(await this.#post("v1/grounding", request, signal), signal);
	}

	async #json(path) {
		return this.#read(await this.#fetch(path, { cache: "no-store" }));
	}

	async #read(response, signal) {
		try {
			return await response.json();
		} catch (error) {
			throw failed(error, signal, "cut");
		}
	}

	#post(path, request, signal) {
		return this.#fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal });
	}

	async #fetch(path, options) {
		const headers = { ...options.headers };
		if (this.key() !== "") headers.Authorization = "Bearer " + this.key();
		let response;
		try {
			response = await fetch(new URL(path, this.base), { credentials: "omit", redirect: "error", ...options, headers });
		} catch (error) {
			throw failed(error, options.signal, "network");
		}
		if (response.ok) return response;
		let body = null;
		try {
			body = (await response.json()).error;
		} catch {
			// The status says enough.
		}
		throw failureOf(response, body);
	}
}

// failed returns the failure of a request or of its answer's body.
function failed(error, signal, kind) {
	if (signal?.aborted) return new Failure("stopped", "stopped");
	if (kind === "network") return new Failure(kind, "The server does not answer.", { remedy: "Check that bridge serve runs, and then press Ask again." });
	if (error instanceof SyntaxError) return new Failure("cut", "The server sent something else than JSON.", { remedy: "Check that this address is bridge serve’s." });
	return new Failure(kind, "The connection broke off during the answer.", { remedy: "Ask again." });
}

// failureOf returns the failure that an error response or an error in a stream describes.
function failureOf(response, error) {
	const message = error?.message || `The server answered with status ${response.status}.`;
	const after = Number(response.headers.get("Retry-After")) || 0;
	const options = { remedy: error?.remedy || "", after, status: response.status };
	if (response.status === 401) return new Failure("key", message, options);
	if (after > 0 && (response.status === 429 || response.status === 503)) return new Failure("busy", message, options);
	return new Failure("refused", message, options);
}
