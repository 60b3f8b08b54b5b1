// Watches a server that does not answer until it is back.

export class Connection {
	#timer = 0;
	#wait = 0;

	// changed is called with false when the server is gone, and with true when it is back.
	constructor(api, changed) {
		this.api = api;
		this.changed = changed;
		this.gone = false;
		addEventListener("online", () => this.#soon());
		document.addEventListener("visibilitychange", () => {
			if (!document.hidden) this.#soon();
		});
	}

	// lost begins to watch after a request did not reach the server.
	lost() {
		if (this.gone) return;
		this.gone = true;
		this.#wait = 500;
		this.changed(false);
		this.#timer = setTimeout(() => this.#look(), this.#wait);
	}

	#soon() {
		if (!this.gone) return;
		clearTimeout(this.#timer);
		this.#look();
	}

	async #look() {
		if (await this.api.alive()) {
			if (!this.gone) return;
			this.gone = false;
			this.changed(true);
			return;
		}
		clearTimeout(this.#timer);
		this.#wait = Math.min(this.#wait * 2, 5000);
		this.#timer = setTimeout(() => this.#look(), this.#wait);
	}
}
