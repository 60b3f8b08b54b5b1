package runs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/survey"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// ShowSource calls emit with the first n good records of a source, in its order.
func ShowSource(ctx context.Context, w *workspace.Workspace, s DataSource, n int, emit func(survey.Shown) error) error {
	r, err := s.source().open(ctx, w)
	if err != nil {
		return err
	}
	defer w.Closer(r)()
	warnOf(w, r)
	good, end := 0, r.Len() // end is the row at which reading ended
	for shown, err := range survey.Show(r, n, data.Reader{Orientation: s.Orientation}) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = emit(shown)
		}
		if err != nil {
			return err
		}
		if good++; good == n {
			end = shown.Row + 1
		}
	}
	if bad := end - good; n > 0 && bad > 0 {
		w.Log().Warn(fmt.Sprintf("records that cannot be used, and are passed over: %d; `bridge data check` names them", bad))
	}
	return nil
}

// SeenRecord is a training record as the models see it in one draw.
type SeenRecord struct {
	ID       string           `json:"id"`
	Row      int              `json:"row"`      // of the training data
	Pictures []survey.Picture `json:"pictures"` // prepared for the encoder
	Examples []SeenExample    `json:"examples"`
}

// SeenExample is a target, and what the language model reads before it.
type SeenExample struct {
	Prompt []SeenPart `json:"prompt"`
	Target string     `json:"target"`
	Tokens int        `json:"target_tokens"` // its end not counted; -1 if they cannot be counted
}

// SeenPart is a text, or the number of a picture whose soft prompts are read.
type SeenPart struct {
	Text    *string `json:"text,omitempty"`
	Picture *int    `json:"picture,omitempty"`
}

// ShowRecipe calls emit with the first n training records of a recipe that can be used, as its
// last phase sees them. It opens the frozen models.
func ShowRecipe(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, n int, emit func(SeenRecord) error) error {
	bare := *r
	bare.Run.FeatureCache = false // no features are needed
	res, err := openResources(ctx, w, &bare, "")
	if err != nil {
		return err
	}
	defer res.close()
	b, _, err := res.start(ctx, &bare, true)
	if err != nil {
		return err
	}
	defer b.Close()
	s := &train.Session{Plan: bare.Plan(), Bridge: b, Language: res.language, Train: res.train, Eval: res.eval, Log: w.Log()}
	for row := 0; row < res.train.Data.Len() && n > 0; row++ {
		previews, err := s.Preview(ctx, []int{row})
		if bad := (*data.PictureError)(nil); errors.As(err, &bad) { // also in a data.PictureErrors
			continue
		}
		if err != nil {
			return err
		}
		n--
		if err := emit(seen(previews[0])); err != nil {
			return err
		}
	}
	return nil
}

func seen(p train.Preview) SeenRecord {
	out := SeenRecord{ID: p.ID, Row: p.Row, Pictures: []survey.Picture{}, Examples: []SeenExample{}}
	for _, picture := range p.Pictures {
		sum := sha256.Sum256(picture.Data)
		out.Pictures = append(out.Pictures, survey.Picture{Width: picture.Shape[1], Height: picture.Shape[0], SHA256: hex.EncodeToString(sum[:])})
	}
	for _, e := range p.Examples {
		example := SeenExample{Prompt: []SeenPart{}, Target: e.Target, Tokens: e.Tokens}
		for _, s := range e.Segments {
			if s.IsPrompt {
				example.Prompt = append(example.Prompt, SeenPart{Picture: &s.Prompt})
			} else {
				example.Prompt = append(example.Prompt, SeenPart{Text: &s.Text})
			}
		}
		out.Examples = append(out.Examples, example)
	}
	return out
}
