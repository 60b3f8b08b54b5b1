package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/concat"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Source is a reader of a data set of [Sources], and its name for people.
type Source struct {
	Name    string
	Records record.Reader
}

// SourceOptions say how the records of [Sources] are prepared.
type SourceOptions struct {
	Name string // of the whole, for people; empty means the names of the sources
	// Process prepares captions and questions as [Files] says.
	Process bool
	// Orientation says whether pictures are turned; empty means by their Exif data.
	Orientation imaging.Orientation
	// TextOnly keeps records without a picture. Otherwise they are bad.
	TextOnly bool
}

// Sources is a data set over readers of formats: the records of one source, or of several one
// after the other. A record is read when it is asked for, and may turn out to be bad. The
// methods may be called from several goroutines.
type Sources struct {
	sources []Source
	options SourceOptions
	reader  Reader
	rows    concat.Rows // of the sources
	seen    func(digest string)
}

var (
	_ Lazy     = (*Sources)(nil)
	_ Contents = (*Sources)(nil)
)

// OpenSources returns a data set over readers, whose pictures are prepared as spec says. It
// takes ownership of the readers: close the data set. It reads no record.
func OpenSources(sources []Source, o SourceOptions, spec adapters.ImageSpec) (*Sources, error) {
	if err := o.Orientation.Check(); err != nil {
		return nil, err
	}
	s := &Sources{sources: sources, options: o, reader: Reader{Spec: spec, Orientation: o.Orientation}}
	for _, source := range sources {
		if source.Records.Len() == 0 {
			return nil, adapters.Errorf(adapters.Invalid, "%s holds no records", printable.Name(source.Name))
		}
		s.rows.Add(source.Records.Len())
	}
	if len(sources) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "a data set of sources needs at least one source")
	}
	return s, nil
}

// OnPicture calls f with the [PictureDigest] of each picture that is read from now on. f may be called from several
// goroutines. Call OnPicture before pictures are read.
func (s *Sources) OnPicture(f func(digest string)) { s.seen = f }

// Close closes the readers.
func (s *Sources) Close() error {
	var all []error
	for _, source := range s.sources {
		all = append(all, source.Records.Close())
	}
	return errors.Join(all...)
}

// Name returns the name of the data set, for people.
func (s *Sources) Name() string {
	if s.options.Name != "" {
		return s.options.Name
	}
	names := make([]string, len(s.sources))
	for i, source := range s.sources {
		names[i] = source.Name
	}
	return strings.Join(names, " + ")
}

// Len returns the number of records, bad ones included.
func (s *Sources) Len() int { return s.rows.Len() }

// Sizes returns the number of records of each source.
func (s *Sources) Sizes() []int { return s.rows.Sizes() }

// SourceNames returns the names of the sources.
func (s *Sources) SourceNames() []string {
	var names []string
	for _, source := range s.sources {
		names = append(names, source.Name)
	}
	return names
}

// SourceInfo identifies a source by content.
type SourceInfo struct {
	Name    string `json:"name"`
	Format  string `json:"format"`
	Records int    `json:"records"`
	Digest  string `json:"digest"`
}

// Describe identifies each source.
func (s *Sources) Describe() []SourceInfo {
	all := make([]SourceInfo, len(s.sources))
	for i, source := range s.sources {
		r := source.Records
		all[i] = SourceInfo{source.Name, r.Format(), r.Len(), r.Digest()}
	}
	return all
}

// Warnings returns sentences about the sources, for people.
func (s *Sources) Warnings() []string {
	var all []string
	for _, source := range s.sources {
		all = append(all, source.Records.Warnings()...)
	}
	return all
}

// Digest identifies the sources and their order, and the encoder's size.
func (s *Sources) Digest() string {
	sum := sha256.New()
	for _, source := range s.sources {
		fmt.Fprintln(sum, source.Records.Format(), source.Records.Len(), source.Records.Digest())
	}
	return hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.reader.Spec)
}

// ContentDigest implements [Contents]. The readers' digests are of everything in the sources.
func (s *Sources) ContentDigest() string { return s.Digest() }

// OldDigest implements [Contents].
func (s *Sources) OldDigest() string { return s.Digest() }

// Decoding identifies how the files become pixels, as featurecache.Decoder says.
func (s *Sources) Decoding() string {
	revisions := map[string]bool{}
	for _, r := range imaging.Revisions() {
		revisions[r] = true
	}
	return s.reader.decoding(revisions)
}

// IDOf returns the ID of a row: "#" and its number. Keys are no IDs, because two records may
// share one.
func (s *Sources) IDOf(row int) string { return "#" + strconv.Itoa(row) }

// RowOf returns the row of an ID.
func (s *Sources) RowOf(id string) (int, bool) {
	row, err := strconv.Atoi(strings.TrimPrefix(id, "#"))
	return row, err == nil && row >= 0 && row < s.Len()
}

// Bad returns the error of a row's record for a reason, with the record's file, key and place.
func (s *Sources) Bad(row int, why record.Why, err error) *PictureError {
	r, _ := s.Parts(row) // if it fails, the row tells the place
	_, at := s.rows.Find(row)
	return &PictureError{Picture: s.IDOf(row), Row: row, Err: r.Bad(at, why, err)}
}

// Parts returns a row as its reader gives it. A bad record is a [*PictureError] that wraps a
// [*record.BadRecord].
func (s *Sources) Parts(row int) (record.Record, error) {
	if row < 0 || row >= s.Len() {
		return record.Record{}, adapters.Errorf(adapters.Invalid, "record %d, %s has %d", row, s.Name(), s.Len())
	}
	source, at := s.rows.Find(row)
	r, err := s.sources[source].Records.Record(at)
	if err == nil && !r.HasTarget() && len(r.Pictures()) == 0 {
		err = r.Bad(at, record.Empty, errors.New("the record has neither a picture nor a text to learn"))
	}
	var bad *record.BadRecord
	if errors.As(err, &bad) && !OfProcess(err) {
		return r, &PictureError{Picture: s.IDOf(row), Row: row, Err: err}
	}
	return r, err
}

// Record returns row i without reading its pictures.
func (s *Sources) Record(i int) (Record, error) {
	r, err := s.Parts(i)
	if err != nil {
		return Record{}, err
	}
	if len(r.Pictures()) == 0 && !s.options.TextOnly {
		return Record{}, s.Bad(i, record.NoPicture, adapters.Errorf(adapters.Invalid, `the record is a text alone, and data.text_only is "refuse"`).
			WithRemedy(`set data.text_only = "train"`))
	}
	out := rowOf(r, s.options.Process)
	out.ID, out.Group = s.IDOf(i), s.group(i, r)
	return out, nil
}

// group returns a text that is equal for records that show the same thing.
func (s *Sources) group(row int, r record.Record) string {
	source, _ := s.rows.Find(row)
	prefix := strconv.Itoa(source)
	pictures := r.Pictures()
	switch {
	case r.Group != "":
		return prefix + " id " + r.Group
	case len(pictures) == 1 && pictures[0].Name != "":
		return prefix + " picture " + pictures[0].Name
	}
	return prefix + " row " + strconv.Itoa(row)
}

// Image returns a picture as [Dataset] says.
func (s *Sources) Image(i int) (*adapters.Tensor, error) {
	img, err := s.decode(i)
	if err != nil {
		return nil, err
	}
	picture, err := process(img, s.reader.Spec)
	if err != nil {
		return nil, s.badPicture(i, err)
	}
	return picture, nil
}

// Picture returns a picture at its own size; of one that cannot be read it returns a pixel.
func (s *Sources) Picture(i int) image.Image {
	img, err := s.decode(i)
	if err != nil {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	return img
}

// PictureCount returns the number of pictures of a row; 0 if its record is bad.
func (s *Sources) PictureCount(row int) int {
	r, err := s.Parts(row)
	if err != nil {
		return 0
	}
	return len(r.Pictures())
}

// TryPicture decodes a picture, as [Dataset.Image] numbers it, and returns its error.
func (s *Sources) TryPicture(i int) error {
	_, err := s.decode(i)
	return err
}

// decode reads picture i/Len() of row i%Len().
func (s *Sources) decode(i int) (*imaging.RGB, error) {
	r, err := s.Parts(i % s.Len())
	if err != nil {
		return nil, err
	}
	pictures := r.Pictures()
	if k := i / s.Len(); k < len(pictures) {
		encoded, err := s.reader.Encoded(pictures[k])
		if err != nil {
			return nil, s.badPicture(i, err)
		}
		img, err := s.reader.decoded(pictures[k], encoded)
		if err != nil {
			return nil, s.badPicture(i, err)
		}
		if s.seen != nil {
			s.seen(PictureDigest(encoded))
		}
		return img, nil
	}
	return nil, adapters.Errorf(adapters.Invalid, "picture %d of record %d, which has %d", i/s.Len(), i%s.Len(), len(pictures))
}

// badPicture names the record in an error about its picture.
func (s *Sources) badPicture(i int, err error) error {
	return s.Bad(i%s.Len(), WhyPicture(err), err)
}

// WhyPicture returns the kind of reason of an error of [Reader.Open].
func WhyPicture(err error) record.Why {
	if errors.Is(err, fs.ErrNotExist) || adapters.KindOf(err) == adapters.NotFound {
		return record.MissingPicture
	}
	return record.BadPicture
}

// Prepared decodes the bytes of a picture ([Reader.Encoded]) as uint8[H, W, 3], RGB, at the encoder's size.
func (r Reader) Prepared(p *record.Picture, encoded []byte) (*adapters.Tensor, error) {
	img, err := r.decoded(p, encoded)
	if err != nil {
		return nil, err
	}
	return r.prepared(img, p.Name)
}

// Open reads a picture at its own size. The kind of its bytes counts, not its name.
func (r Reader) Open(p *record.Picture) (*imaging.RGB, error) {
	encoded, err := r.Encoded(p)
	if err != nil {
		return nil, err
	}
	return r.decoded(p, encoded)
}

// Encoded reads the bytes of a picture.
func (r Reader) Encoded(p *record.Picture) ([]byte, error) {
	in, err := p.Open()
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "picture %s: %w", printable.Name(filepath.Base(p.Name)), err)
	}
	defer in.Close()
	encoded, err := io.ReadAll(in)
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s: %w", printable.Name(p.Name), err)
	}
	return encoded, nil
}

// decoded decodes the bytes of a picture at its own size.
func (r Reader) decoded(p *record.Picture, encoded []byte) (*imaging.RGB, error) {
	if imaging.CutOff(bytes.NewReader(encoded), int64(len(encoded))) {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s is cut off: its end is missing", printable.Name(p.Name))
	}
	img, err := imaging.Decode(bytes.NewReader(encoded), r.Orientation)
	if err != nil {
		return nil, adapters.Errorf(adapters.KindOf(err), "picture %s: %w", printable.Name(p.Name), err)
	}
	return img, nil
}
