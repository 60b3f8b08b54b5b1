package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) captionCommand() *cli.Command {
	return &cli.Command{
		Name: "caption", Usage: "describe pictures", ArgsUsage: "MODEL IMAGE...",
		UsageText: "bridge caption MODEL IMAGE... [--prompt TEXT] [--words] [generation options] [--encoder ID] [--llm ID] " +
			"[--encoder-plugin PLUGIN] [--llm-plugin PLUGIN] [--json]",
		Description: "An IMAGE is a PNG, JPEG, GIF, WebP, BMP or TIFF file, or a picture of the kit (kit:held-out/17).\n\n" +
			"Example: bridge caption runs/demo/warm kit:held-out/17 photo.png",
		Flags: append(openFlags(), orientationFlag(), &cli.StringFlag{Name: "prompt",
			Usage: "`TEXT` for the caption to continue (default: the one that the bridge was trained with)"},
			&cli.BoolFlag{Name: "words", Usage: "also print the words with the largest weights of each query, if the bridge speaks in words"}),
		Action: p.caption,
	}
}

func (p *program) askCommand() *cli.Command {
	return &cli.Command{
		Name: "ask", Usage: "answer a question about a picture", ArgsUsage: "MODEL IMAGE QUESTION",
		UsageText: "bridge ask MODEL IMAGE QUESTION [generation options] [--encoder ID] [--llm ID] " +
			"[--encoder-plugin PLUGIN] [--llm-plugin PLUGIN] [--json]",
		Description: "Example: bridge ask runs/demo/warm kit:held-out/17 \"what color is the background?\"",
		Flags:       append(openFlags(), orientationFlag()),
		Action:      p.ask,
	}
}

// openFlags returns the flags of commands that open a bridge and generate text.
func openFlags() []cli.Flag {
	return append(slices.Concat(generationFlags(), lavisFlags(), adapterFlags()),
		backendFlag(), isolationFlag(), transportFlag(), jsonFlag())
}

func orientationFlag() cli.Flag {
	return &cli.StringFlag{Name: "orientation",
		Usage: "exif (turn pictures as their Exif data says) or ignore (default: as in the bridge's training)"}
}

// pictureReader returns the reader of the pictures that a model is asked about.
func pictureReader(c *cli.Context, m *workspace.Model) data.Reader {
	orientation := cmp.Or(imaging.Orientation(c.String("orientation")), m.Orientation)
	return data.Reader{Spec: m.Vision.Spec().Image, Orientation: orientation}
}

// captionBatch is the number of pictures in a batch.
const captionBatch = 32

func (p *program) caption(c *cli.Context) error {
	args, err := arguments(c, 2, -1)
	if err != nil {
		return err
	}
	if prompt := c.String("prompt"); prompt != "" && strings.TrimSpace(prompt) == "" {
		return usagef("the --prompt %q is blank, want a text (for no text at all, write --prompt \"\")", prompt)
	}
	m, options, err := p.openToGenerate(c, args[0])
	if err != nil {
		return err
	}
	defer m.Close()
	prompt := m.Info.Templates.Caption
	if c.IsSet("prompt") {
		prompt = c.String("prompt")
	}
	if err := m.CheckPrompt(c.Context, prompt, options); err != nil {
		return err
	}
	var unreadable error
	for names := range slices.Chunk(args[1:], captionBatch) {
		failed, err := p.captionPictures(c, m, names, prompt, options)
		if err != nil {
			return err
		}
		unreadable = errors.Join(unreadable, failed)
	}
	return unreadable
}

// openToGenerate reads the generation flags and opens a model.
func (p *program) openToGenerate(c *cli.Context, name string) (*workspace.Model, bridge.GenerateOptions, error) {
	options, err := p.generateOptions(c)
	if err != nil {
		return nil, options, err
	}
	if err := imaging.Orientation(c.String("orientation")).Check(); err != nil {
		return nil, options, usagef("--orientation: %v", err)
	}
	o, err := openOptions(c, name)
	if err != nil {
		return nil, options, err
	}
	m, err := p.workspace.OpenModel(c.Context, name, o)
	return m, options, err
}

// captionPictures captions a batch of pictures. It skips pictures that cannot be read and
// returns their errors as failed.
func (p *program) captionPictures(c *cli.Context, m *workspace.Model, names []string, prompt string,
	o bridge.GenerateOptions) (failed, err error) {
	read, pictures, failed := readEach(pictureReader(c, m), names)
	if len(pictures) == 0 {
		return failed, nil
	}
	images, err := data.Stack(pictures)
	if err != nil {
		return failed, err
	}
	features, err := m.Encode(c.Context, images)
	if err != nil {
		return failed, err
	}
	texts, err := m.CaptionFeatures(c.Context, features, prompt, o)
	if err != nil {
		return failed, err
	}
	said := make([][][]bridge.WordWeight, len(read))
	if c.Bool("words") {
		if said, err = m.SaidWords(c.Context, features, wordsOfAQuery); err != nil {
			return failed, err
		}
	}
	for i, text := range texts {
		if err := p.printCaption(c.Bool("json"), read[i], text, said[i]); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// readEach reads pictures. read has the names of those that can be read, and failed the errors of
// the others.
func readEach(reader data.Reader, names []string) (read []string, pictures []*adapters.Tensor, failed error) {
	for _, name := range names {
		picture, err := reader.Picture(name)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		read, pictures = append(read, name), append(pictures, picture)
	}
	return read, pictures, failed
}

// wordsOfAQuery is the number of words of each query that --words prints.
const wordsOfAQuery = 5

// printCaption prints a picture's caption, and the words of its queries if there are any.
func (p *program) printCaption(asJSON bool, name, text string, said [][]bridge.WordWeight) error {
	if asJSON {
		return p.printJSON(captionLine{newImageName(name), text, said})
	}
	if _, err := printable.Fprintf(p.stdout, "%s\t%s\n", name, text); err != nil {
		return err
	}
	for i, words := range said {
		if _, err := printable.Fprintf(p.stdout, "  query %d\t%s\n", i+1, bridge.WordsText(words)); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) ask(c *cli.Context) error {
	args, err := arguments(c, 3, 3)
	if err != nil {
		return err
	}
	if strings.TrimSpace(args[2]) == "" {
		return usagef("the QUESTION is empty")
	}
	m, options, err := p.openToGenerate(c, args[0])
	if err != nil {
		return err
	}
	defer m.Close()
	picture, err := pictureReader(c, m).Pictures(args[1])
	if err != nil {
		return err
	}
	answers, err := m.Answer(c.Context, picture, args[2:], options)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(answerLine{newImageName(args[1]), args[2], answers[0]})
	}
	p.printf("%s\n", answers[0])
	return nil
}

// captionLine and answerLine are the lines of --json.
type (
	captionLine struct {
		imageName
		Caption string `json:"caption"`
		// Words are those with the largest weights of each query, with --words.
		Words [][]bridge.WordWeight `json:"words,omitempty"`
	}
	answerLine struct {
		imageName
		Question string `json:"question"`
		Answer   string `json:"answer"`
	}
)

// imageName is a picture's name in JSON, which has no place for bytes that are not UTF-8: Image has
// U+FFFD in place of these, and only then Bytes has the whole name in base64.
type imageName struct {
	Image string `json:"image"`
	Bytes []byte `json:"image_base64,omitempty"`
}

func newImageName(name string) imageName {
	if utf8.ValidString(name) {
		return imageName{Image: name}
	}
	return imageName{name, []byte(name)}
}
