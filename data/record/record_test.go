package record_test

import (
	"errors"
	"testing"

	"github.com/modular-bridging/bridge/data/record"
)

func TestBadRecordNamesFilePlaceKeyAndReason(t *testing.T) {
	reason := errors.New("picture is cut off")
	for want, bad := range map[string]*record.BadRecord{
		`a.tar: record 3 ("k") at byte 512: picture is cut off`: {File: "a.tar", Key: "k", Row: 3, Offset: 512, Err: reason},
		`a.json: record 0: picture is cut off`:                  {File: "a.json", Offset: -1, Err: reason},
	} {
		if bad.Error() != want || !errors.Is(bad, reason) {
			t.Errorf("%q, want %q", bad.Error(), want)
		}
	}
}

func TestTargetsAndPicturesAreFound(t *testing.T) {
	one, two := &record.Picture{Name: "1"}, &record.Picture{Name: "2"}
	r := record.Record{Parts: []record.Part{{Picture: one}, record.Of("what?", record.Question, false), {Picture: two}}}
	if got := r.Pictures(); len(got) != 2 || got[0] != one || got[1] != two || r.HasTarget() {
		t.Errorf("pictures %v, target %v", got, r.HasTarget())
	}
	if r.Parts = append(r.Parts, record.Of("a dog", record.Answer, true)); !r.HasTarget() {
		t.Error("the target is not found")
	}
}
