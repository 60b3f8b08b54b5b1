// Package conversation makes parts of records of conversations about pictures, in LLaVA's layout.
package conversation

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// tag stands for a picture in a text.
const tag = "<image>"

// FromObject makes a record of a row. Keys other than id, image and conversations are ignored.
func FromObject(o jsonvalue.Object, folder parts.Folder) (record.Record, error) {
	r := record.Record{Key: keyOf(o["id"])}
	names, err := jsonvalue.Texts(o, "image")
	if err != nil {
		return r, err
	}
	if len(names) == 1 && strings.TrimSpace(names[0]) == "" {
		names = nil // some files have "image": "" for text alone
	}
	pictures := make([]*record.Picture, len(names))
	for i, name := range names {
		if pictures[i], err = folder.Picture(name); err != nil {
			return r, err
		}
	}
	turns, ok := o["conversations"].([]any)
	if !ok {
		return r, fmt.Errorf(`"conversations" is %s, want a list of turns`, jsonvalue.Describe(o["conversations"]))
	}
	r.Parts, err = FromTurns(turns, pictures)
	return r, err
}

// keyOf returns an id as the file writes it: a text, or the digits of a number.
func keyOf(id any) string {
	switch id := id.(type) {
	case string:
		return id
	case json.Number:
		return id.String()
	}
	return ""
}

// FromTurns returns the parts of a conversation. The tags in it must be as many as the pictures.
// Turns are those of people (human, user) and of the model (gpt, assistant, chatgpt) in turn; system
// turns may stand before them.
func FromTurns(turns []any, pictures []*record.Picture) ([]record.Part, error) {
	c := conversation{pictures: pictures}
	for i, v := range turns {
		turn, ok := v.(jsonvalue.Object)
		if !ok {
			return nil, fmt.Errorf("turn %d is %s, want an object with from and value", i, jsonvalue.Describe(v))
		}
		if err := c.add(turn); err != nil {
			return nil, fmt.Errorf("turn %d: %w", i, err)
		}
	}
	switch {
	case c.tags != len(pictures):
		return nil, parts.Because(record.Tags, "the texts have %d tags %s, and the row has %d pictures; want equal numbers", c.tags, tag, len(pictures))
	case c.answers == 0:
		return nil, parts.Because(record.NoTarget, "the conversation has no answer (a turn from gpt), so there is nothing to learn")
	}
	return c.parts, nil
}

// conversation collects the parts of turns.
type conversation struct {
	pictures []*record.Picture
	parts    []record.Part
	tags     int
	answers  int
	last     record.Role
}

// add adds a turn.
func (c *conversation) add(turn jsonvalue.Object) error {
	from, err := jsonvalue.Text(turn, "from")
	if err != nil {
		return err
	}
	value, ok := turn["value"].(string)
	if !ok {
		return fmt.Errorf(`"value" is %s, want a text`, jsonvalue.Describe(turn["value"]))
	}
	role, err := roleOf(from)
	if err != nil {
		return err
	}
	switch {
	case role == record.System && c.last != record.Plain && c.last != record.System:
		return fmt.Errorf("a system turn follows others, want it before them")
	case role == record.Answer && c.last != record.Question:
		return fmt.Errorf("an answer (%q) follows no question", from)
	case role == record.Question && c.last == record.Question:
		return fmt.Errorf("a question follows a question, want an answer between them")
	case role == record.Answer && strings.TrimSpace(value) == "":
		return fmt.Errorf("the answer is empty")
	case role == record.Answer && strings.Contains(value, tag):
		return fmt.Errorf("the answer has the tag %s, which only texts of people may have", tag)
	}
	c.last = role
	if role == record.Answer {
		c.answers++
	}
	c.addText(value, role)
	return nil
}

// addText adds a text, with a picture where a tag stands. The tag goes with one line feed next to
// it: the one behind it, or else the one before it.
func (c *conversation) addText(text string, role record.Role) {
	for {
		before, after, found := strings.Cut(text, tag)
		if found {
			if rest, ok := strings.CutPrefix(after, "\n"); ok {
				after = rest
			} else {
				before = strings.TrimSuffix(before, "\n")
			}
		}
		if strings.TrimSpace(before) != "" || role == record.Answer {
			c.parts = append(c.parts, record.Of(before, role, role == record.Answer))
		}
		if !found {
			return
		}
		if c.tags < len(c.pictures) {
			c.parts = append(c.parts, parts.Picture(c.pictures[c.tags]))
		}
		c.tags++
		text = after
	}
}

// roleOf returns the role of a speaker.
func roleOf(from string) (record.Role, error) {
	switch strings.ToLower(from) {
	case "human", "user":
		return record.Question, nil
	case "gpt", "assistant", "chatgpt", "bing", "bard":
		return record.Answer, nil
	case "system":
		return record.System, nil
	}
	return "", fmt.Errorf(`"from" is %q, want human, gpt or system`, from)
}
