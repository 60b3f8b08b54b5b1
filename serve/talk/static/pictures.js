// Makes pictures ready to be sent.

// The types that the server reads. A picture of another type that the browser can show is sent
// as PNG or JPEG.
const readable = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

// A picture within these limits is sent as it is. Encoders look at a few hundred pixels, so
// a larger one loses nothing that they could see.
const maxBytes = 4 << 20, maxSide = 4096, shrunkSide = 2048;

// prepare returns a picture of a file: {blob, name, width, height, note}. note says how the blob
// differs from the file, or is empty. It throws an error that a person can read.
export async function prepare(file, name = file.name || "pasted picture") {
	if (file.size === 0) throw new Error(`“${name}” is empty. Choose another picture.`);
	let image;
	try {
		image = await decode(file);
	} catch {
		throw new Error(`“${name}” cannot be read as a picture${file.type ? " (" + file.type + ")" : ""}. Choose a JPEG, PNG, GIF or WebP file.`);
	}
	const { naturalWidth: width, naturalHeight: height } = image;
	if (readable.has(file.type) && file.size <= maxBytes && Math.max(width, height) <= maxSide) {
		const blob = new Blob([await file.arrayBuffer()], { type: file.type }); // the file may change or go away
		return { blob, name, width, height, note: "" };
	}
	const scale = Math.min(1, shrunkSide / Math.max(width, height));
	const canvas = document.createElement("canvas");
	canvas.width = Math.max(1, Math.round(width * scale));
	canvas.height = Math.max(1, Math.round(height * scale));
	const context = canvas.getContext("2d");
	context.imageSmoothingQuality = "high";
	context.fillStyle = "#fff"; // JPEG has no transparency
	context.fillRect(0, 0, canvas.width, canvas.height);
	context.drawImage(image, 0, 0, canvas.width, canvas.height);
	const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.92));
	if (blob === null) throw new Error(`“${name}” is too large for this browser (${width} × ${height}). Choose a smaller picture.`);
	return { blob, name, width: canvas.width, height: canvas.height, note: `sent as a JPEG of ${canvas.width} × ${canvas.height}` };
}

// decode loads a file as an image, turned as its Exif data say.
async function decode(file) {
	const url = URL.createObjectURL(file), image = new Image();
	try {
		image.src = url;
		await image.decode();
		if (image.naturalWidth === 0) throw new Error("no size");
		return image;
	} finally {
		URL.revokeObjectURL(url);
	}
}

// dataURL returns a blob as a data URL.
export function dataURL(blob) {
	return new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result);
		reader.onerror = () => reject(new Error("The picture can no longer be read. Choose it again."));
		reader.readAsDataURL(blob);
	});
}

// fileOf returns the first picture in a drop or in the clipboard, or null.
export function fileOf(transfer) {
	const files = [...(transfer?.files ?? [])];
	return files.find(f => f.type.startsWith("image/")) ?? files[0] ?? null;
}
