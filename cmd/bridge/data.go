package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/data/survey"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) dataCommand() *cli.Command {
	const what = "SOURCE is a file, a brace list in quotes (\"shards/{00000..00099}.tar\") or a data set of the kit (kit:train); " +
		"docs/data.md lists the formats. RECIPE is a file .toml, or the name of a built-in recipe.\n\n"
	return group("data", "check and show training data",
		&cli.Command{
			Name: "check", Usage: "read all data, decode every picture, and count records, texts, duplicates and faults", ArgsUsage: "SOURCE|RECIPE",
			UsageText: "bridge data check SOURCE|RECIPE [--images DIR] [--format F] [--llm ID] [--html FILE] [--fresh] [--json]",
			Description: what + "A check that was interrupted continues where it stopped. Of a recipe, pictures that are in both training and " +
				"evaluation data are counted, and tokens by the recipe's language model.\n\n" +
				"Example: bridge data check captions.json --images pictures --html check.html",
			Flags: append(sourceFlags(),
				&cli.StringFlag{Name: "llm", Usage: "also count tokens by the language model `ID` (not of a recipe, which names one)"},
				&cli.StringFlag{Name: "html", Usage: "write a page with a contact sheet to `FILE`"},
				&cli.BoolFlag{Name: "fresh", Usage: "start over, even if an interrupted check could be continued"},
				setFlag(), jsonFlag()),
			Action: p.dataCheck,
		},
		&cli.Command{
			Name: "show", Usage: "print the first records, or training records as the models see them", ArgsUsage: "SOURCE|RECIPE [N]",
			UsageText: "bridge data show SOURCE|RECIPE [N] [--images DIR] [--format F] [--json]",
			Description: what + "Of a source, the first N records that can be used are shown as they are in the file (default 5); with --json " +
				"one a line. Of a recipe, each is shown as one draw of training: pictures after preparation, prompt, target and its tokens.\n\n" +
				"Example: bridge data show llava.json 3 --images pictures",
			Flags:  append(sourceFlags(), setFlag(), jsonFlag()),
			Action: p.dataShow,
		})
}

// sourceFlags returns the flags of a source on the command line.
func sourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "images", Usage: "folder `DIR` of the pictures that the source names"},
		&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the source (default: that of its content)"},
		&cli.StringFlag{Name: "orientation", Value: string(imaging.ByExif), Usage: "`HOW` pictures are turned: exif or ignore"},
	}
}

// dataSource returns the source that the command line names.
func dataSource(c *cli.Context, path string) (runs.DataSource, error) {
	s := runs.DataSource{Path: path, Images: c.String("images"), Format: c.String("format"), Orientation: imaging.Orientation(c.String("orientation"))}
	return s, checkChoice("--orientation", c.String("orientation"), []string{string(imaging.ByExif), string(imaging.AsStored)})
}

// onlyOfSources checks that flags of sources are not given with a recipe, and --set not with a
// source.
func onlyOfSources(c *cli.Context, argument string) error {
	recipe := runs.IsRecipe(argument)
	for _, name := range []string{"images", "format", "orientation", "llm"} {
		if recipe && c.IsSet(name) {
			return usagef("--%s is for a source, and %s is a recipe: set it there", name, argument)
		}
	}
	if !recipe && c.IsSet("set") {
		return usagef("--set is for a recipe, and %s is a source", argument)
	}
	return nil
}

func (p *program) dataCheck(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	if err := onlyOfSources(c, args[0]); err != nil {
		return err
	}
	o := runs.DataOptions{LLM: c.String("llm"), Fresh: c.Bool("fresh"), Page: c.String("html")}
	if runs.IsRecipe(args[0]) {
		return p.dataCheckRecipe(c, args[0], o)
	}
	s, err := dataSource(c, args[0])
	if err != nil {
		return err
	}
	found, err := runs.CheckSource(c.Context, p.workspace, s, o)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(found)
	}
	p.printCheck(found)
	p.printPage(o.Page)
	return nil
}

func (p *program) dataCheckRecipe(c *cli.Context, name string, o runs.DataOptions) error {
	r, err := p.resolve(name, overrides(c))
	if err != nil {
		return err
	}
	found, err := runs.CheckRecipeData(c.Context, p.workspace, r, o)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(found)
	}
	for _, part := range []struct {
		name string
		all  []runs.DataCheck
	}{{"data.train", found.Train}, {"data.eval", found.Eval}} {
		for _, check := range part.all {
			p.printf("%s: ", part.name)
			p.printCheck(check)
		}
	}
	p.printf("pictures in both training and evaluation data: %d\n", found.Overlap)
	p.printPage(o.Page)
	return nil
}

func (p *program) printPage(path string) {
	if path != "" {
		p.printf("\npage: %s\n", path)
	}
}

// shownBad is the number of bad records that are named in the text of a check.
const shownBad = 20

// printCheck prints what a check of a source found.
func (p *program) printCheck(c runs.DataCheck) {
	p.printf("%s (%s)\n", c.Source, c.Format)
	line := func(name, format string, args ...any) { p.printf("  %-16s %s\n", name, fmt.Sprintf(format, args...)) }
	line("records", "%d of %d can be used", c.Records, c.Rows)
	if c.TextOnly > 0 {
		line("", "%d without a picture", c.TextOnly)
	}
	if c.Untitled > 0 {
		line("", "%d without a text to learn", c.Untitled)
	}
	line("pictures", "%d distinct, %d in records", c.Pictures, c.PictureParts)
	line("texts", "%d, %d of them to learn", c.Texts, c.Targets)
	line("repeated", "pictures %d, texts to learn %d, keys %d", c.Duplicates.Pictures, c.Duplicates.Texts, c.Duplicates.Keys)
	for _, s := range []struct {
		name string
		of   survey.Spread
	}{{"words", c.Words}, {"shorter side", c.ShortSide}, {"longer side", c.LongSide}} {
		line(s.name, "%s", spreadText(s.of))
	}
	if t := c.Tokens; t != nil {
		line("tokens", "%s (%s)", spreadText(t.Spread), t.LLM)
		if t.Limit > 0 {
			line("", "%d are cut to %d tokens (%.1f %%)", t.Cut, t.Limit, 100*t.Share)
		}
	}
	p.printBad(c)
}

func (p *program) printBad(c runs.DataCheck) {
	if len(c.Bad) == 0 {
		return
	}
	p.printf("  cannot be used: %d\n", len(c.Bad))
	for _, why := range slices.Sorted(maps.Keys(c.BadByReason)) {
		p.printf("    %d: %s\n", c.BadByReason[why], why)
	}
	for _, b := range c.Bad[:min(shownBad, len(c.Bad))] {
		place := b.File
		if b.Offset != nil {
			place += " at byte " + strconv.FormatInt(*b.Offset, 10)
		}
		p.printf("    record %d, key %s, %s: %s\n", b.Row, b.Key, place, b.Reason)
	}
	if more := len(c.Bad) - shownBad; more > 0 {
		p.printf("    and %d more; --json has all\n", more)
	}
}

func spreadText(s survey.Spread) string {
	return fmt.Sprintf("%d to %d, median %d, 95 %% up to %d, mean %.1f", s.Min, s.Max, s.Median, s.P95, s.Mean)
}

// defaultShown is how many records `bridge data show` prints.
const defaultShown = 5

func (p *program) dataShow(c *cli.Context) error {
	args, err := arguments(c, 1, 2)
	if err != nil {
		return err
	}
	n := defaultShown
	if len(args) == 2 {
		if n, err = strconv.Atoi(args[1]); err != nil || n < 0 {
			return usagef("data show: N is %q, want a number of records", args[1])
		}
	}
	if err := onlyOfSources(c, args[0]); err != nil {
		return err
	}
	if runs.IsRecipe(args[0]) {
		r, err := p.resolve(args[0], overrides(c))
		if err != nil {
			return err
		}
		return runs.ShowRecipe(c.Context, p.workspace, r, n, func(s runs.SeenRecord) error { return p.printSeen(c.Bool("json"), s) })
	}
	s, err := dataSource(c, args[0])
	if err != nil {
		return err
	}
	return runs.ShowSource(c.Context, p.workspace, s, n, func(s survey.Shown) error { return p.printShown(c.Bool("json"), s) })
}

// printShown prints a record of a source.
func (p *program) printShown(asJSON bool, s survey.Shown) error {
	if asJSON {
		return p.printJSON(s)
	}
	p.printf("%s\n", s.Key)
	for _, part := range s.Parts {
		switch {
		case part.Picture != nil:
			p.printf("  picture  %d x %d, sha256 %.16s\n", part.Picture.Width, part.Picture.Height, part.Picture.SHA256)
		case part.Target:
			p.printf("  target   %q\n", *part.Text)
		default:
			p.printf("  text     %q\n", *part.Text)
		}
	}
	return nil
}

// printSeen prints a record of a recipe.
func (p *program) printSeen(asJSON bool, s runs.SeenRecord) error {
	if asJSON {
		return p.printJSON(s)
	}
	p.printf("%s\n", s.ID)
	for k, picture := range s.Pictures {
		p.printf("  picture %d  %d x %d after preparation, sha256 %.16s\n", k, picture.Width, picture.Height, picture.SHA256)
	}
	for _, e := range s.Examples {
		prompt := ""
		for _, part := range e.Prompt {
			if part.Picture != nil {
				prompt += fmt.Sprintf("[picture %d]", *part.Picture)
			} else {
				prompt += *part.Text
			}
		}
		p.printf("  prompt     %q\n  target     %q (%d tokens)\n", prompt, e.Target, e.Tokens)
	}
	return nil
}
