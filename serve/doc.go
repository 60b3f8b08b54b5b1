// Package serve answers OpenAI's chat completions over HTTP with trained bridges, and serves the
// page to talk to them.
//
// A [Server] joins the parts below it: config says what to serve, fleet holds the bridges open,
// engine computes answers in batches, chat is the form of requests and answers, pictures gets the
// pictures of a request, and talk is the page.
//
// docs/serving.md is the page for users; /openapi.json describes the interface to programs.
package serve
