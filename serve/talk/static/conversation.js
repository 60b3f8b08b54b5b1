// A conversation: one picture, questions in turn, and the answers of each bridge.
import { dataURL } from "./pictures.js";

// newConversation returns an empty conversation about a picture.
export function newConversation(picture) {
	return { id: crypto.randomUUID?.() ?? String(Date.now() + Math.random()), changed: Date.now(), picture, turns: [] };
}

// messagesFor returns the messages that ask a bridge the question of a turn. The picture is in the
// first message. With earlier set, the questions before that the bridge has answered precede it
// with their answers. A turn without a question asks for a caption of the picture alone, so
// nothing precedes it.
export async function messagesFor(conversation, turn, model, earlier) {
	const at = conversation.turns.indexOf(turn), picture = { type: "image_url", image_url: { url: await dataURL(conversation.picture.blob) } };
	const messages = [];
	const ask = question => {
		const parts = messages.length === 0 ? [picture] : [];
		if (question !== "") parts.push({ type: "text", text: question });
		messages.push({ role: "user", content: parts });
	};
	if (earlier && turn.question !== "") {
		for (const before of conversation.turns.slice(0, at)) {
			const answer = before.answers.find(a => a.model === model);
			if (!answer || answer.text === "" || answer.state === "failed" || before.question === "") continue;
			ask(before.question);
			messages.push({ role: "assistant", content: answer.text });
		}
	}
	ask(turn.question);
	return messages;
}

// optionsOf returns the request's fields for settings.
export function optionsOf(settings) {
	const options = { max_tokens: settings.max_tokens, temperature: settings.temperature };
	if (settings.temperature > 0) {
		options.top_p = settings.top_p;
		if (settings.seed !== null) options.seed = settings.seed;
	}
	if (settings.num_beams > 1) options.num_beams = settings.num_beams;
	return options;
}

// describe returns settings in words.
export function describe(settings) {
	if (settings.num_beams > 1) return settings.num_beams + " beams";
	if (settings.temperature === 0) return "greedy";
	return "temperature " + settings.temperature + (settings.top_p < 1 ? ", top-p " + settings.top_p : "") + (settings.seed !== null ? ", seed " + settings.seed : "");
}
