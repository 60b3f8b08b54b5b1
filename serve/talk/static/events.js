// Reads server-sent events.

// EventParser splits a stream of text into the data of its events. Pieces may end anywhere,
// between the two characters of a line end, too.
export class EventParser {
	#rest = "";
	#data = [];

	// push returns the data of the events that end in a piece.
	push(piece) {
		const events = [];
		const text = this.#rest + piece;
		let at = 0;
		for (;;) {
			const end = text.slice(at).search(/[\r\n]/);
			if (end < 0) break;
			// A CR at the end of a piece may be the first half of a CR LF.
			if (text[at + end] === "\r" && at + end === text.length - 1) break;
			const line = text.slice(at, at + end);
			at += end + (text.startsWith("\r\n", at + end) ? 2 : 1);
			if (line === "") {
				if (this.#data.length > 0) events.push(this.#data.join("\n"));
				this.#data = [];
			} else if (line === "data" || line.startsWith("data:")) {
				this.#data.push(line.slice(5).replace(/^ /, ""));
			}
		}
		this.#rest = text.slice(at);
		return events;
	}
}

// readEvents yields the data of each event of a response's body.
export async function* readEvents(body) {
	const reader = body.getReader(), decoder = new TextDecoder(), parser = new EventParser();
	try {
		for (;;) {
			const { value, done } = await reader.read();
			yield* parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
			if (done) return;
		}
	} finally {
		reader.cancel().catch(() => {});
	}
}
