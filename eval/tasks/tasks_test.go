package tasks_test

import (
	"testing"

	"github.com/modular-bridging/bridge/eval/tasks"
)

func TestShippedTasksAreSound(t *testing.T) {
	l, err := tasks.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(l.Names()); n < 20 {
		t.Errorf("%d tasks ship, want all of the documentation", n)
	}
}
