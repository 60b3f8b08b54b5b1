// The picture of the page: dropped, pasted, chosen from files, or one of the kit.
import { byId, element } from "./elements.js";
import { fileOf, prepare } from "./pictures.js";

export class Stage {
	#url = "";

	// picked is called with each new picture, and problem with a text if a file cannot be used.
	constructor(picked, problem) {
		this.picked = picked;
		this.problem = problem;
		this.drop = byId("drop");
		byId("file").addEventListener("change", event => {
			const [file] = event.target.files;
			if (file) this.take(file);
			event.target.value = "";
		});
		this.#listenToDrops();
		document.addEventListener("paste", event => {
			const file = fileOf(event.clipboardData);
			if (!file) return; // text is pasted as text
			event.preventDefault();
			this.take(file);
		});
	}

	#listenToDrops() {
		const over = on => this.drop.classList.toggle("over", on);
		const hasFiles = event => event.dataTransfer?.types.includes("Files");
		document.addEventListener("dragover", event => {
			if (!hasFiles(event)) return;
			event.preventDefault();
			over(true);
		});
		document.addEventListener("dragleave", event => {
			if (event.relatedTarget === null) over(false);
		});
		document.addEventListener("drop", event => {
			over(false);
			if (!hasFiles(event)) return;
			event.preventDefault();
			const file = fileOf(event.dataTransfer);
			if (file) this.take(file);
		});
	}

	// take makes a file the picture.
	async take(file, more = {}) {
		try {
			this.picked({ alt: "", questions: [], kit: "", ...await prepare(file, more.name), ...more });
		} catch (error) {
			this.problem(error.message);
		}
	}

	// show shows a picture, or the invitation to choose one if it is null.
	show(picture) {
		if (this.#url !== "") URL.revokeObjectURL(this.#url);
		this.#url = picture === null ? "" : URL.createObjectURL(picture.blob);
		const image = byId("picture");
		image.hidden = picture === null;
		this.drop.classList.toggle("full", picture !== null);
		byId("file").parentElement.classList.toggle("primary", picture === null);
		byId("file").previousSibling.textContent = picture === null ? "Choose a picture" : "Another picture";
		byId("picture-note").textContent = picture === null ? "" : noteOf(picture);
		for (const b of byId("kit-list").querySelectorAll("button")) b.setAttribute("aria-pressed", String(picture !== null && b.value === picture.kit));
		if (picture === null) {
			image.removeAttribute("src");
			return;
		}
		image.src = this.#url;
		image.alt = picture.alt || "your picture, " + picture.name;
		image.classList.toggle("tiny", Math.max(picture.width, picture.height) < 200);
	}

	// fold closes the lists beside the picture on a narrow screen, so that the answers have room.
	fold() {
		if (matchMedia("(max-width: 52rem)").matches) for (const id of ["kit", "bridges"]) byId(id).open = false;
	}

	// showKit offers pictures of the kit.
	showKit(pictures) {
		byId("kit-list").replaceChildren(...pictures.map(p => element("li", {}, this.#kitButton(p))));
		byId("kit").hidden = pictures.length === 0;
	}

	#kitButton(p) {
		const image = element("img", { alt: p.caption, loading: "lazy", src: new URL(p.path, document.baseURI).href });
		const button = element("button", { type: "button", value: p.id, title: p.id, attr: { "aria-pressed": "false" } }, image);
		button.addEventListener("click", async () => {
			try {
				const response = await fetch(image.src);
				if (!response.ok) throw new Error();
				await this.take(await response.blob(), { name: p.id, kit: p.id, alt: p.caption, questions: p.questions });
			} catch {
				this.problem(`The picture ${p.id} could not be loaded. Check that bridge serve runs.`);
			}
		});
		return button;
	}
}

function noteOf(picture) {
	return [picture.name, `${picture.width} × ${picture.height}`, picture.note].filter(Boolean).join(" · ");
}
