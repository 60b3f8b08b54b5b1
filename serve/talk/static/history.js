// Keeps conversations in the browser's IndexedDB. Nothing of them is sent anywhere.

const limit = 50; // conversations; the oldest are removed

// done returns a request's result.
function done(request) {
	return new Promise((resolve, reject) => {
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});
}

// committed waits for the end of a transaction.
function committed(transaction) {
	return new Promise((resolve, reject) => {
		transaction.oncomplete = () => resolve();
		transaction.onabort = () => reject(transaction.error);
	});
}

export class History {
	#database = null;

	// open opens the database. If the browser forbids it, as in some private windows, nothing is
	// kept and open returns false.
	async open() {
		try {
			const request = indexedDB.open("bridge.talk", 1);
			request.onupgradeneeded = () => request.result.createObjectStore("conversations", { keyPath: "id" }).createIndex("changed", "changed");
			this.#database = await done(request);
			return true;
		} catch {
			return false;
		}
	}

	#store(mode) {
		const transaction = this.#database.transaction("conversations", mode);
		return { transaction, store: transaction.objectStore("conversations") };
	}

	// save keeps a conversation, and removes the oldest ones above the limit.
	async save(conversation) {
		if (!this.#database) return;
		const { transaction, store } = this.#store("readwrite");
		store.put(conversation);
		const keys = await done(store.index("changed").getAllKeys());
		for (const key of keys.slice(0, Math.max(0, keys.length - limit))) store.delete(key);
		await committed(transaction);
	}

	// list returns the conversations, the newest first. An answer that was still coming when its
	// conversation was kept counts as stopped.
	async list() {
		if (!this.#database) return [];
		const conversations = (await done(this.#store("readonly").store.index("changed").getAll())).reverse();
		for (const answer of conversations.flatMap(c => c.turns).flatMap(t => t.answers)) {
			if (answer.state === "waiting" || answer.state === "coming") answer.state = "stopped";
		}
		return conversations;
	}

	async remove(id) {
		if (!this.#database) return;
		const { transaction, store } = this.#store("readwrite");
		store.delete(id);
		await committed(transaction);
	}

	async clear() {
		if (!this.#database) return;
		const { transaction, store } = this.#store("readwrite");
		store.clear();
		await committed(transaction);
	}
}
