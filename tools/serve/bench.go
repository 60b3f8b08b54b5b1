package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/workspace"
)

// benchOptions are the settings of a benchmark.
type benchOptions struct {
	program, backend, model, isolation string
	rounds, tokens                     int
}

// benching has both sides of a benchmark.
type benching struct {
	benchOptions
	model  *workspace.Model
	server *process
	client *http.Client
}

// requestsEach is how many requests each client sends in a round, one after the other.
const requestsEach = 4

// side is one side's figures of a round.
type side struct {
	first   []float64 // seconds to the first piece, of each request
	seconds float64   // of the round
	texts   map[string]bool
}

// bench compares a server with generation in this process, in turns, and prints tables.
func bench(ctx context.Context, o benchOptions) error {
	dir, err := os.MkdirTemp("", "bridge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &benching{benchOptions: o, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if b.model, err = workspace.OpenModel(ctx, o.model, workspace.OpenOptions{Backend: o.backend, Isolation: o.isolation}); err != nil {
		return err
	}
	defer b.model.Close()
	if b.server, err = startServer(ctx, o.program, dir, "--backend", o.backend, "--isolation", o.isolation, "model="+o.model); err != nil {
		return err
	}
	err = errors.Join(b.throughput(ctx), b.overhead(ctx))
	return errors.Join(err, b.server.stop())
}

// throughput compares tokens a second and the time to the first token.
func (b *benching) throughput(ctx context.Context) error {
	fmt.Printf("Each client sends %d requests for %d tokens about a picture, one after the other; %d rounds of both sides in turns.\n\n", requestsEach, b.tokens, b.rounds)
	fmt.Println("| clients | tokens/s, in process | served | ratio | first token, in process | served |\n|---|---|---|---|---|---|")
	for _, clients := range []int{1, 8, 32} {
		var here, there, ratios, firstHere, firstThere []float64
		for round := range b.rounds + 1 {
			in, err := b.inProcess(ctx, clients)
			if err != nil {
				return err
			}
			out, err := b.served(ctx, clients)
			if err != nil {
				return err
			}
			for text := range out.texts {
				if !in.texts[text] {
					return fmt.Errorf("the server answers %q, which generation in process does not", text)
				}
			}
			if round == 0 {
				continue // both sides warm up
			}
			tokens := float64(clients * requestsEach * b.tokens)
			here, there = append(here, tokens/in.seconds), append(there, tokens/out.seconds)
			ratios = append(ratios, in.seconds/out.seconds)
			firstHere, firstThere = append(firstHere, in.first...), append(firstThere, out.first...)
		}
		fmt.Printf("| %d | %.0f | %.0f | %.2f | %.1f ms | %.1f ms |\n", clients, median(here), median(there), median(ratios), 1e3*median(firstHere), 1e3*median(firstThere))
	}
	return nil
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// inProcess computes what the clients of a round ask for, a batch at a time.
func (b *benching) inProcess(ctx context.Context, clients int) (side, error) {
	s := side{texts: map[string]bool{}}
	began := time.Now()
	for range requestsEach {
		sent, first := time.Now(), time.Duration(0)
		texts, err := b.generate(ctx, clients, b.tokens, func(adapters.Piece) error {
			if first == 0 {
				first = time.Since(sent)
			}
			return nil
		})
		if err != nil {
			return s, err
		}
		s.first = append(s.first, first.Seconds())
		for _, t := range texts {
			s.texts[t] = true
		}
	}
	s.seconds = time.Since(began).Seconds()
	return s, nil
}

// generate captions the first n pictures as the server does: it reads and encodes them, and generates with the
// bridge's template for captions.
func (b *benching) generate(ctx context.Context, n, tokens int, emit func(adapters.Piece) error) ([]string, error) {
	names := make([]string, n)
	examples := make([]adapters.Example, n)
	for i := range names {
		names[i] = fmt.Sprintf("kit:held-out/%d", i)
		examples[i] = b.model.Info.Templates.CaptionExample(i, "")
	}
	images, err := data.ReadPictures(b.model.Vision.Spec().Image, names...)
	if err != nil {
		return nil, err
	}
	features, err := b.model.Encode(ctx, images)
	if err != nil {
		return nil, err
	}
	prompts, err := b.model.SoftPrompts(ctx, features)
	if err != nil {
		return nil, err
	}
	o := adapters.GenerateOptions{MaxNewTokens: tokens, MinNewTokens: tokens}
	resp, err := b.model.Language.Generate(ctx, &adapters.GenerateRequest{Prompts: prompts, Examples: examples, Options: o}, emit)
	if err != nil {
		return nil, err
	}
	return resp.Texts, nil
}

// served lets clients send their requests to the server.
func (b *benching) served(ctx context.Context, clients int) (side, error) {
	s := side{texts: map[string]bool{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	began := time.Now()
	for i := range clients {
		wg.Go(func() {
			for range requestsEach {
				sent, first := time.Now(), time.Duration(0)
				a, err := b.request(ctx, i, b.tokens, true, func(int, string) {
					if first == 0 {
						first = time.Since(sent)
					}
				})
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, err)
				} else {
					s.first = append(s.first, first.Seconds())
					s.texts[a.texts[0]] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.seconds = time.Since(began).Seconds()
	return s, failed
}

// request asks the server for a caption of picture i with so many tokens.
func (b *benching) request(ctx context.Context, i, tokens int, stream bool, piece func(int, string)) (answer, error) {
	body, err := json.Marshal(ask("model", fmt.Sprintf("kit:held-out/%d", i), "").and(fields{"min_tokens": tokens, "max_tokens": tokens, "stream": stream}))
	if err != nil {
		return answer{}, err
	}
	a, err := send(ctx, b.client, b.server.url, "", body, piece)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%v", a)
	}
	return a, err
}

// overhead compares single requests of few tokens, in turns.
func (b *benching) overhead(ctx context.Context) error {
	const tokens, pairs = 8, 60
	var here, there, difference []float64
	for range pairs {
		began := time.Now()
		if _, err := b.generate(ctx, 1, tokens, nil); err != nil {
			return err
		}
		in := time.Since(began).Seconds()
		began = time.Now()
		if _, err := b.request(ctx, 0, tokens, false, nil); err != nil {
			return err
		}
		out := time.Since(began).Seconds()
		here, there, difference = append(here, in), append(there, out), append(difference, out-in)
	}
	fmt.Printf("\nOne request for %d tokens: %.1f ms in process, %.1f ms served; the median of the differences of %d pairs is %.1f ms.\n",
		tokens, 1e3*median(here), 1e3*median(there), pairs, 1e3*median(difference))
	return nil
}
