package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/config"
)

// errorOf returns the error of an answer, which must have OpenAI's form.
func errorOf(t *testing.T, r reply) chat.Error {
	t.Helper()
	var fields struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(r.body, &fields); err != nil || len(fields.Error) == 0 {
		t.Fatalf("status %d is no error object: %s", r.status, r.body)
	}
	for _, name := range []string{"message", "type", "param", "code", "kind"} {
		if _, ok := fields.Error[name]; !ok {
			t.Errorf("error without %s: %s", name, r.body)
		}
	}
	var body errorBody
	if err := json.Unmarshal(r.body, &body); err != nil {
		t.Fatal(err)
	}
	return *body.Error
}

func TestWrongRequestsAreRefusedByName(t *testing.T) {
	_, url := sharedServer(t)
	good := ask("what?", "kit:held-out/17")
	message := func(v any) map[string]any { return map[string]any{"model": testModel, "messages": v} }
	user := func(content any) map[string]any {
		return message([]any{map[string]any{"role": "user", "content": content}})
	}
	for name, c := range map[string]struct {
		body   map[string]any
		status int
		param  string
		says   string // in the message or remedy
	}{
		"unknown field":       {with(good, map[string]any{"temprature": 1}), 400, "temprature", "temperature"},
		"unknown nested":      {user([]any{map[string]any{"type": "text", "txt": "x"}}), 400, "messages[0].content[0].txt", "text"},
		"wrong type":          {with(good, map[string]any{"n": "two"}), 400, "n", "whole number"},
		"fraction":            {with(good, map[string]any{"n": 1.5}), 400, "n", "whole number"},
		"model":               {with(good, map[string]any{"model": "kit:stage3"}), 404, "model", testModel},
		"no model":            {map[string]any{"messages": good["messages"]}, 400, "model", "/v1/models"},
		"no messages":         {message([]any{}), 400, "messages", "at least one"},
		"a large seed":        {with(good, map[string]any{"seed": uint64(1) << 63}), 400, "seed", "64 bits"},
		"too many tokens":     {with(good, map[string]any{"max_tokens": 513}), 400, "max_tokens", "512"},
		"no tokens":           {with(good, map[string]any{"max_completion_tokens": 0}), 400, "max_completion_tokens", "1"},
		"two maxima":          {with(good, map[string]any{"max_tokens": 3, "max_completion_tokens": 4}), 400, "max_tokens", "one of them"},
		"context":             {with(good, map[string]any{"max_tokens": 200}), 400, "messages", "at most"},
		"temperature":         {with(good, map[string]any{"temperature": 2.1}), 400, "temperature", "0 to 2"},
		"top_p":               {with(good, map[string]any{"top_p": 0}), 400, "top_p", "above 0"},
		"n":                   {with(good, map[string]any{"n": 9}), 400, "n", "8"},
		"stop":                {with(good, map[string]any{"stop": []string{"a", "b", "c", "d", "e"}}), 400, "stop", "at most 4"},
		"empty stop":          {with(good, map[string]any{"stop": ""}), 400, "stop[0]", "1 to"},
		"top_logprobs":        {with(good, map[string]any{"top_logprobs": 2}), 400, "top_logprobs", "logprobs"},
		"beams":               {with(good, map[string]any{"num_beams": 2, "temperature": 1}), 400, "num_beams", "temperature"},
		"beams and logprobs":  {with(good, map[string]any{"num_beams": 2, "logprobs": true}), 400, "logprobs", "num_beams"},
		"stream options":      {with(good, map[string]any{"stream_options": map[string]any{}}), 400, "stream_options", "stream"},
		"tools":               {with(good, map[string]any{"tools": []any{map[string]any{"type": "function"}}}), 400, "tools", "not supported"},
		"json":                {with(good, map[string]any{"response_format": map[string]any{"type": "json_object"}}), 400, "response_format", "not supported"},
		"penalty":             {with(good, map[string]any{"frequency_penalty": 0.5}), 400, "frequency_penalty", "repetition_penalty"},
		"role":                {message([]any{map[string]any{"role": "robot", "content": "x"}}), 400, "messages[0].role", "assistant"},
		"tool role":           {message([]any{map[string]any{"role": "tool", "content": "x"}}), 400, "messages[0].role", "tools"},
		"ends with assistant": {message([]any{map[string]any{"role": "assistant", "content": "x"}}), 400, "messages[0].role", "user"},
		"blank":               {user("  "), 400, "messages[0].content", "empty"},
		"no content":          {user(nil), 400, "messages[0].content", "empty"},
		"part type":           {user([]any{map[string]any{"type": "input_audio"}}), 400, "messages[0].content[0].type", "image_url"},
		"picture of system":   {message([]any{map[string]any{"role": "system", "content": user([]any{})["messages"]}}), 400, "", ""},
		"file":                {ask("what?", "file:///etc/passwd"), 400, "messages[0].content[0].image_url.url", "data URL"},
		"path":                {ask("what?", "/etc/passwd"), 400, "messages[0].content[0].image_url.url", "data URL"},
		"kit path":            {ask("what?", "kit:../../etc/passwd"), 400, "messages[0].content[0].image_url.url", ""},
		"kit number":          {ask("what?", "kit:held-out/100000"), 400, "messages[0].content[0].image_url.url", "held-out"},
		"other host":          {ask("what?", "https://example.org/a.png"), 400, "messages[0].content[0].image_url.url", "picture_hosts"},
		"base64":              {ask("what?", "data:image/png;base64,@@@"), 400, "messages[0].content[0].image_url.url", "base64"},
		"no picture":          {ask("what?", "data:image/png;base64,aGVsbG8="), 400, "messages[0].content[0].image_url.url", "JPEG"},
		"html":                {ask("what?", "data:text/html,hello"), 400, "messages[0].content[0].image_url.url", "image/png"},
		"pictures":            {ask("what?", strings.Split(strings.Repeat("kit:held-out/1 ", 9)[:134], " ")...), 400, "messages", "at most 8"},
	} {
		r := post(t, url+"/v1/chat/completions", c.body)
		e := errorOf(t, r)
		if r.status != c.status || c.param != "" && string(e.Param) != c.param || !strings.Contains(e.Message+" "+e.Remedy, c.says) {
			t.Errorf("%s: status %d, want %d with param %s and %q: %s", name, r.status, c.status, c.param, c.says, r.body)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	url := withConfig(t, func(c *config.Config) {
		c.Limits.BodyBytes, c.Limits.BodiesBytes, c.Limits.Body = 4000, 4000, 200*time.Millisecond
	}) + "/v1/chat/completions"
	isJSON := map[string]string{"Content-Type": "application/json"}
	for name, c := range map[string]struct {
		header map[string]string
		body   io.Reader
		status int
	}{
		"too large":           {isJSON, strings.NewReader(strings.Repeat("x", 4001)), 413},
		"too large, in parts": {isJSON, io.MultiReader(strings.NewReader(strings.Repeat("x", 4001))), 413},
		"a form":              {map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader("a=b"), 415},
		"plain text":          {map[string]string{"Content-Type": "text/plain"}, strings.NewReader("{}"), 415},
		"no type":             {nil, strings.NewReader("{}"), 415},
		"compressed":          {map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, strings.NewReader("{}"), 415},
		"empty":               {isJSON, strings.NewReader(""), 400},
		"no JSON":             {isJSON, strings.NewReader("{"), 400},
		"a list":              {isJSON, strings.NewReader("[]"), 400},
		"twice a field":       {isJSON, strings.NewReader(`{"model":"a","model":"b"}`), 400},
		"not UTF-8":           {isJSON, strings.NewReader("{\"model\":\"\xff\"}"), 400},
		"deep":                {isJSON, strings.NewReader(strings.Repeat(`{"tools":[`, 300)), 400},
		"slow":                {isJSON, slowReader{}, 408},
	} {
		if r := send(t, http.MethodPost, url, c.header, c.body); r.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, r.status, c.status, r.body)
		} else {
			errorOf(t, r)
		}
	}
	if r := send(t, http.MethodPost, url, isJSON, strings.NewReader("{}")); r.status != 400 {
		t.Errorf("the bytes of refused bodies are not free again: %d %s", r.status, r.body)
	}
}

// Clients that announce bodies and send nothing leave the budget to others.
func TestSilentBodiesHoldNothing(t *testing.T) {
	url := withConfig(t, func(c *config.Config) { c.Limits.BodyBytes, c.Limits.BodiesBytes = 4000, 4000 })
	for range 3 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{")
	}
	r := send(t, http.MethodPost, url+"/v1/chat/completions", map[string]string{"Content-Type": "application/json"}, strings.NewReader("{}"))
	if r.status != 400 {
		t.Errorf("beside three silent clients: status %d, want 400: %s", r.status, r.body)
	}
	full := &budgeted{from: strings.NewReader("12345"), budget: newBudget(4)}
	if _, err := io.ReadAll(full); !errors.Is(err, errNoBudget) {
		t.Errorf("a body above the budget gives %v", err)
	}
	if full.free(); full.budget.left != 4 {
		t.Errorf("%d bytes are free again, want 4", full.budget.left)
	}
}

// slowReader gives a byte at a time and never ends.
type slowReader struct{}

func (slowReader) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	p[0] = ' '
	return 1, nil
}

func TestPixelsAreCountedBeforeTheyAreRead(t *testing.T) {
	s, _ := sharedServer(t)
	defer s.pictures.Set(pictureOptions(*s.config.Load()))
	o := pictureOptions(*s.config.Load())
	o.Pixels = 32 * 32
	s.pictures.Set(o)
	r := post(t, shared.http.URL+"/v1/chat/completions", ask("what?", dataURL(t, kit.HeldOut, 1)))
	if e := errorOf(t, r); r.status != http.StatusRequestEntityTooLarge || !strings.Contains(e.Message, "1024") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestPathsAndMethods(t *testing.T) {
	_, url := sharedServer(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/chat/completions", 405}, {"DELETE", "/v1/models", 405}, {"POST", "/healthz", 405},
		{"GET", "/v1/nothing", 404}, {"GET", "/v1/../etc/passwd", 404}, {"GET", "/v1/models/no", 404}, {"POST", "/nothing", 404},
		{"POST", "/", 405}, {"TRACE", "/", 405}, {"PUT", "/talk/main.js", 405},
	} {
		r := send(t, c.method, url+c.path, nil, nil)
		if r.status != c.status {
			t.Errorf("%s %s: status %d, want %d: %s", c.method, c.path, r.status, c.status, r.body)
		}
		errorOf(t, r)
		if c.status == 405 && r.header.Get("Allow") == "" {
			t.Errorf("%s %s has no Allow", c.method, c.path)
		}
	}
}

func TestKeys(t *testing.T) {
	const secret, other = "0123456789abcdef-one", "0123456789abcdef-two"
	url := withConfig(t, func(c *config.Config) {
		for name, key := range map[string]string{"one": secret, "two": other} {
			if err := c.Keys.Add(name, key); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		path, authorization string
		status              int
	}{
		{"/v1/models", "", 401}, {"/v1/models", "Bearer " + secret, 200}, {"/v1/models", "bearer " + other, 200},
		{"/v1/models", "Bearer " + secret[1:], 401}, {"/v1/models", "Bearer ", 401}, {"/v1/models", "Basic " + secret, 401},
		{"/v1/models", secret, 401}, {"/metrics", "", 401}, {"/metrics", "Bearer " + other, 200},
		{"/healthz", "", 200}, {"/readyz", "", 200}, {"/openapi.json", "", 200}, {"/", "", 200},
	} {
		header := map[string]string{"Host": "bridge.example.org"} // any name, since there are keys
		if c.authorization != "" {
			header["Authorization"] = c.authorization
		}
		r := send(t, http.MethodGet, url+c.path, header, nil)
		if r.status != c.status || strings.Contains(string(r.body), secret[1:]) {
			t.Errorf("%s with %q: status %d, want %d: %s", c.path, c.authorization, r.status, c.status, r.body)
		}
	}
	_, open := sharedServer(t)
	if r := send(t, http.MethodGet, open+"/v1/models", map[string]string{"Authorization": "Bearer whatever"}, nil); r.status != 200 {
		t.Errorf("a key sent to a server without keys: %d", r.status)
	}
}

// A page of the internet must not use the server of somebody who visits it.
func TestForeignPagesAreRefused(t *testing.T) {
	const listed = "https://chat.example.org"
	url := withConfig(t, func(c *config.Config) { c.Origins = []string{listed} })
	for name, c := range map[string]struct {
		header map[string]string
		status int
		allow  string
	}{
		"no page":          {nil, 200, ""},
		"its own page":     {map[string]string{"Origin": url}, 200, ""},
		"a listed page":    {map[string]string{"Origin": listed}, 200, listed},
		"a foreign page":   {map[string]string{"Origin": "https://evil.example.org"}, 403, ""},
		"a similar origin": {map[string]string{"Origin": listed + ".evil.org"}, 403, ""},
		"a file":           {map[string]string{"Origin": "null"}, 403, ""},
		"another name":     {map[string]string{"Host": "evil.example.org"}, 403, ""},
		"localhost":        {map[string]string{"Host": "localhost:8000"}, 200, ""},
		"IPv6":             {map[string]string{"Host": "[::1]:8000"}, 200, ""},
	} {
		r := send(t, http.MethodGet, url+"/v1/models", c.header, nil)
		if r.status != c.status || r.header.Get("Access-Control-Allow-Origin") != c.allow {
			t.Errorf("%s: status %d, allows %q, want %d and %q", name, r.status, r.header.Get("Access-Control-Allow-Origin"), c.status, c.allow)
		}
	}
	preflight := map[string]string{"Origin": listed, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os,x-evil"}
	r := send(t, http.MethodOptions, url+"/v1/chat/completions", preflight, nil)
	if got := r.header.Get("Access-Control-Allow-Headers"); r.status != http.StatusNoContent || got != "authorization, content-type, x-stainless-os" {
		t.Errorf("preflight: status %d, headers %q", r.status, got)
	}
}

func TestHeadersProtectBrowsers(t *testing.T) {
	_, url := sharedServer(t)
	for _, path := range []string{"/", "/v1/models", "/v1/nothing"} {
		h := send(t, http.MethodGet, url+path, nil, nil).header
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"} {
			if !strings.HasPrefix(h.Get(name), want) {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

func TestAnswersNameNoPathOfTheMachine(t *testing.T) {
	for in, want := range map[string]string{
		"open /home/me/models/opt/config.json: no such file": "open a file of the server: no such file",
		"weights \"/srv/x/y.bin\" are damaged":               "weights \"a file of the server\" are damaged",
		"a and/or b, see /openapi.json":                      "a and/or b, see /openapi.json",
	} {
		if got := withoutPaths(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bridge.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := sharedServer(t)
	broken := New(Options{Workspace: s.workspace, Config: func() config.Config {
		c := testConfig()
		c.Bridges = []config.Bridge{{Name: "broken", Model: dir}}
		return c
	}()})
	defer broken.Close()
	h := newTestServer(t, broken)
	r := post(t, h+"/v1/chat/completions", map[string]any{"model": "broken", "messages": []any{map[string]any{"role": "user", "content": "x"}}})
	if e := errorOf(t, r); r.status != http.StatusServiceUnavailable || e.Kind != "unavailable" || strings.Contains(string(r.body), dir) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := send(t, http.MethodGet, h+"/readyz", nil, nil); r.status != http.StatusServiceUnavailable {
		t.Errorf("readyz without a bridge: %d %s", r.status, r.body)
	}
}

// A client without a key must not hold a connection by sending its body slowly.
func TestARefusedBodyHoldsNoConnection(t *testing.T) {
	url := withConfig(t, func(c *config.Config) {
		c.Limits.Body = 100 * time.Millisecond
		if err := c.Keys.Add("one", "0123456789abcdef-one"); err != nil {
			t.Fatal(err)
		}
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // ends when the server closes the connection
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("%v: %s", err, answer)
	}
}
