package annotations_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/modular-bridging/bridge/data/annotations"
)

// Example reads JSON lines. A wrong entry does not end the reading.
func Example() {
	file := strings.NewReader(`{"image": "1.jpg", "caption": "a dog"}
{"image": "2.jpg", "caption": NaN}
{"image": "3.jpg", "question": "how many?", "answer": ["1", "one"]}`)
	r, err := annotations.NewReader(file, "mine.jsonl", annotations.Captions)
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: %q, %q %q\n", e.Image, e.Captions, e.Question, e.Answers)
	}
	// Output:
	// 1.jpg: ["a dog"], "" []
	// mine.jsonl: entry 1 (line 2): "caption" is NaN, want a text or a list of texts (pandas writes NaN for a missing value: drop such rows before you write the file)
	// 3.jpg: [], "how many?" ["1" "one"]
}
