package comparison_test

import (
	"context"
	"fmt"
	"log"
	"path/filepath"

	"github.com/modular-bridging/bridge/runs/comparison"
	"github.com/modular-bridging/bridge/workspace"
)

// A program compares finished runs.
func ExampleGather() {
	project := filepath.Join("..", "testdata", "run-03ee870", "runs")
	folders := []string{filepath.Join(project, "stage2"), filepath.Join(project, "swap")}
	c, _, err := comparison.Gather(context.Background(), workspace.New(workspace.Options{}), folders, comparison.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range c.Table().Rows {
		fmt.Println(row[0], "held-out loss", row[5])
	}
	fmt.Println(c.Advice())
	// Output:
	// stage2 (tiny-vit + tiny-opt) held-out loss 1.110
	// swap (tiny-vit + tiny-flan-t5) held-out loss 1.916
	// 4 captions are too few for a recommendation.
}
