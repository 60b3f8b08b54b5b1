package main

import "context"

type benchOptions struct {
	program, backend, model, isolation string
	rounds, tokens                     int
}

func bench(ctx context.Context, o benchOptions) error { return nil }
