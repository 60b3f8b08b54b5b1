// Watches a server that does not answer until it is back.

const firstWait = 500, longestWait = 5000; // between two looks; milliseconds

export class Connection {
	#timer = 0;
	#wait = 0;
	#watching = false;

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

	// doubt looks whether the server is gone, after a request that did not reach it or an answer that
	// broke off. If it is gone, the connection looks again until it is back.
	doubt() {
		if (this.#watching) return;
		this.#watching = true;
		this.#wait = firstWait;
		this.#look();
	}

	#soon() {
		if (this.gone) this.#look();
	}

	async #look() {
		clearTimeout(this.#timer);
		const alive = await this.api.alive();
		if (!this.#watching) return; // another look was quicker
		if (alive) {
			this.#watching = false;
			if (this.gone) {
				this.gone = false;
				this.changed(true);
			}
			return;
		}
		if (!this.gone) {
			this.gone = true;
			this.changed(false);
		}
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#look(), this.#wait);
		this.#wait = Math.min(this.#wait * 2, longestWait);
	}
}
