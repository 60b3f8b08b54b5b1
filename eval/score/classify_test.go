package score

import (
	"strings"
	"testing"
)

const vsrCaptions = `{"image": "1.jpg", "caption": "The dog is on the surfboard.", "label": 1, "relation": "on", "subj": "dog"}
{"image": "2.jpg", "caption": "The cat is under the bed.", "label": 0, "relation": "under"}
{"image": "2.jpg", "caption": "The cat is among the dogs.", "label": 1, "relation": "among"}
{"image": "3.jpg", "caption": "The cat is near the bed.", "label": 0, "relation": "near"}
`

func TestVSR(t *testing.T) {
	annotations := file(t, "test.jsonl", vsrCaptions)
	got := mustScore(t, VSR, Options{Annotations: annotations, Predictions: file(t, "preds.txt", "1\n1\n1\r\n0\n")})
	for key, want := range map[string]float64{"accuracy": 75, "n": 4, "by_category|topological|value": 100, "by_category|projective|value": 0,
		"by_category|unallocated|n": 1, "by_relation|under|value": 0, "by_relation|near|value": 100} {
		mustBe(t, got, key, want)
	}
	for predictions, want := range map[string]string{
		"1\n0\n1\n":         "has 3 labels for 4 captions",
		"1\n0\n1\n0\n1":     "has 5 labels for 4 captions",
		"1\nyes\n1\n0\n":    `line 2 is "yes", want 0 or 1`,
		"1\n\n1\n0\n1\n":    `line 2 is "", want 0 or 1`,
		`{"label": 1}` + "": `line 1 is`,
	} {
		mustRefuse(t, VSR, Options{Annotations: annotations, Predictions: file(t, "preds.txt", predictions)}, want)
	}
	mustRefuse(t, VSR, Options{Annotations: file(t, "a.jsonl", `{"caption": "?"}`), Predictions: file(t, "preds.txt", "1")}, "entry 0 has no label 0 or 1")
}

// Of the 6 pairs of a hateful meme and another, 3 are in the right order and 1 is equal.
func TestHatefulMemes(t *testing.T) {
	annotations := file(t, "dev.jsonl", `{"id": 8291, "img": "img/08291.png", "label": 1, "text": "a"}
{"id": 46971, "img": "img/46971.png", "label": 0, "text": "b"}
{"id": 3745, "img": "img/03745.png", "label": 1, "text": "c"}
{"id": "01489", "img": "img/01489.png", "label": 0, "text": "d"}
{"id": 7, "img": "img/00007.png", "label": 1, "text": "e"}`)
	whole := "id,proba,label\n01489,0.1,0\n08291,0.9,1\n46971,0.9,1\n3745,.3,0\n7,0.2,0\n"
	got := mustScore(t, HatefulMemes, Options{Annotations: annotations, Predictions: file(t, "p.csv", whole)})
	mustBe(t, got, "roc_auc", 100*3.5/6)
	mustBe(t, got, "accuracy", 40)
	got = mustScore(t, HatefulMemes, Options{Annotations: annotations, Predictions: file(t, "p.csv", "proba,id\n0.1,01489\n0.9,08291\n0.9,46971\n.3,3745\n0.2,7\n0.5,99\n")})
	mustBe(t, got, "roc_auc", 100*3.5/6)
	mustBe(t, got, "extra", 1)
	if got["accuracy"] != nil {
		t.Errorf("accuracy without labels: %v", got)
	}
	// The missing meme 7 is hateful, and stands below all others.
	got = mustScore(t, HatefulMemes, Options{Annotations: annotations, Predictions: file(t, "p.csv", strings.TrimSuffix(whole, "7,0.2,0\n")), AllowMissing: true})
	mustBe(t, got, "roc_auc", 100*2.5/6)
	mustBe(t, got, "missing", 1)
	for predictions, want := range map[string]string{
		"id,proba,label\n8291,0.9,1\n":              "4 of 5 predictions are missing: 46971, 3745, 1489, 7",
		"id,label\n8291,1\n":                        `has the columns ["id" "label"], without proba`,
		"id,proba,label\n8291,NaN,1\n":              `line 2 has the proba "NaN", want a number`,
		"id,proba,label\n8291,0.9,hateful\n":        `line 2 has the label "hateful", want 0 or 1`,
		"id,proba,label\n8291,0.9,1\n08291,0.8,1\n": "meme 8291 has two predictions",
		"id,proba,label\n8291,0.9\n":                "wrong number of fields",
		"":                                          "is not a CSV file",
	} {
		mustRefuse(t, HatefulMemes, Options{Annotations: annotations, Predictions: file(t, "p.csv", predictions)}, want)
	}
}

// An interval leaves out draws without an example of one class.
func TestHatefulMemesOfFewMemes(t *testing.T) {
	got := mustScore(t, HatefulMemes, Options{Annotations: file(t, "dev.jsonl", `{"id": 1, "label": 1}`+"\n"+`{"id": 2, "label": 0}`), Predictions: file(t, "p.csv", "id,proba\n1,0.9\n2,0.1\n")})
	intervals, _ := got["intervals"].(map[string]any)
	if limits, _ := intervals["roc_auc"].([]any); len(limits) != 2 || limits[0] != 100.0 || limits[1] != 100.0 {
		t.Errorf("got %v, want 100 to 100", intervals)
	}
}

func TestWinoground(t *testing.T) {
	annotations := file(t, "examples.jsonl", `{"id": 0, "image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "caption_0": "a", "caption_1": "b", "tag": "Scope", "secondary_tag": "", "num_main_preds": 1, "collapsed_tag": "Object"}
{"id": 1, "collapsed_tag": "Relation", "secondary_tag": "Morpheme-Level", "num_main_preds": 2}
{"id": 2, "collapsed_tag": "Object", "num_main_preds": 1}`)
	// Example 0 has all right; 1 tells texts apart only; in 2 one pair is equal.
	scores := `[{"id": 0, "c0_i0": 0.9, "c0_i1": 0.1, "c1_i0": 0.2, "c1_i1": 0.8}, {"id": 1, "c0_i0": 0.5, "c0_i1": 0.6, "c1_i0": 0.4, "c1_i1": 0.7},
 {"id": 2, "c0_i0": 0.5, "c0_i1": 0.5, "c1_i0": 0.1, "c1_i1": 0.9}]`
	got := mustScore(t, Winoground, Options{Annotations: annotations, Predictions: file(t, "s.json", scores)})
	for key, want := range map[string]float64{"text": 100, "image": 100.0 / 3, "group": 100.0 / 3, "n": 3, "by_tag|Object|value": 50, "by_tag|Relation|n": 1,
		"by_main_predicates|2|value": 0, "by_secondary_tag|Morpheme-Level|n": 1} {
		mustBe(t, got, key, want)
	}
	one := Options{Annotations: annotations, Predictions: file(t, "s.jsonl", `{"id": 0, "c0_i0": 0.9, "c0_i1": 0.1, "c1_i0": 0.2, "c1_i1": 0.8}`)}
	mustRefuse(t, Winoground, one, "2 of 3 predictions are missing: 1, 2")
	one.AllowMissing = true
	got = mustScore(t, Winoground, one)
	mustBe(t, got, "group", 100.0/3)
	mustRefuse(t, Winoground, Options{Annotations: annotations, Predictions: file(t, "s.jsonl", `{"id": 0, "c0_i0": 0.9}`)}, "entry 0 lacks id or one of its four scores")
	mustRefuse(t, Winoground, Options{Annotations: file(t, "e.jsonl", `{"caption_0": "a"}`), Predictions: one.Predictions}, "entry 0 has no id")
}

// mustRefuse checks that files are refused with an error that says want.
func mustRefuse(t *testing.T, kind string, o Options, want string) {
	t.Helper()
	if _, err := Score(t.Context(), kind, o); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
