package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/registry"
)

// lavisFlags name what a .pth file of LAVIS does not hold.
func lavisFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder", Usage: "`ID` of the vision encoder of a .pth file"},
		&cli.StringFlag{Name: "llm", Usage: "`ID` of the language model of a .pth file of stage 2"},
		&cli.IntFlag{Name: "heads", Usage: "`N` attention heads of a .pth file's Q-Former (default: heads of 64)"},
		&cli.IntFlag{Name: "encoder-heads", Usage: "`N` attention heads of a .pth file's encoder (default: heads of 88)"},
	}
}

// refuseLAVISFlags refuses flags that belong to a .pth file where there is none.
func refuseLAVISFlags(c *cli.Context, model string) error {
	for _, flag := range []string{"encoder", "llm", "tokenizer", "heads", "encoder-heads"} {
		if c.IsSet(flag) {
			return usagef("--%s belongs to a .pth file, and %s is none", flag, model)
		}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// modelDir is bridgeDir for who takes a .pth file of LAVIS too.
func (p *program) modelDir(c *cli.Context, model string) (string, error) {
	if isFile(model) {
		return p.lavisDir(c, model)
	}
	if err := refuseLAVISFlags(c, model); err != nil {
		return "", err
	}
	return bridgeDir(c.Context, model)
}

// lavisDir returns the folder of the bridge that a .pth file of LAVIS holds. The
// first time it is converted into the cache folder, its encoder beside it; the
// language model stays where it is.
func (p *program) lavisDir(c *cli.Context, file string) (string, error) {
	dir, err := lavisCache(c, file)
	if err != nil || isDir(dir) {
		return filepath.Join(dir, "bridge"), err
	}
	l, err := convert.OpenLAVIS(file)
	if err != nil {
		return "", err
	}
	defer p.closing(l)()
	if l.Stage() == 0 {
		return "", adapters.Errorf(adapters.Unsupported, "%s holds an encoder alone, and no bridge", file).
			WithRemedy("bridge convert %s DIR makes a folder of it, which a recipe's [vision] can name", file)
	}
	if l.Stage() != 2 {
		return "", adapters.Errorf(adapters.Unsupported, "%s holds no language model to write with: it is of stage 1", file).
			WithRemedy("train stage 2 from it: bridge convert %s DIR, and from = \"DIR\" in a recipe", file)
	}
	reg, err := p.registry(c.Context)
	if err != nil {
		return "", err
	}
	if err := p.inferSides(c, reg, l); err != nil {
		return "", err
	}
	b, parts, err := p.lavisBridge(c, reg, l)
	if err != nil {
		return "", err
	}
	defer b.Close()
	if parts.Activation != "" && b.Info.Language.Path != "" {
		p.log.Warn("LAVIS computes T5 with the exact gelu; a model that is named by its folder has its own activation", "llm", b.Info.Language.Path)
	}
	fmt.Fprintf(p.stderr, "%s is converted into %s, once\n", file, dir)
	err = atomicfile.Dir(dir, func(tmp string) error { return saveLAVIS(c, l, b, tmp, dir) })
	if err != nil && !isDir(dir) { // another process may have been faster
		return "", err
	}
	return filepath.Join(dir, "bridge"), nil
}

// lavisCache is where a file's bridge is kept: by the file's digest and the flags
// that say what it does not hold.
func lavisCache(c *cli.Context, file string) (string, error) {
	digest, err := weights.FileDigest(file)
	if err != nil {
		return "", err
	}
	key := []string{digest}
	for _, flag := range []string{"encoder", "llm", "heads", "encoder-heads"} {
		value := fmt.Sprint(c.Value(flag))
		if isDir(value) {
			if value, err = filepath.Abs(value); err != nil {
				return "", err
			}
		}
		key = append(key, value)
	}
	sum := sha256.Sum256([]byte(strings.Join(key, "\n")))
	return filepath.Join(cacheDir(), "lavis", hex.EncodeToString(sum[:16])), nil
}

// inferSides sets the flags that are not given where the widths of the file's
// weights leave one model of the registry.
func (p *program) inferSides(c *cli.Context, reg *registry.Registry, l *convert.LAVIS) error {
	config, err := l.Config(c.Int("heads"))
	if err != nil {
		return err
	}
	infer := func(flag, modelType string, width int) error {
		id := onlyOne(reg, modelType, width)
		if c.IsSet(flag) || id == "" {
			return nil
		}
		fmt.Fprintf(p.stderr, "%s is taken to belong to %s, by its width; --%s names another\n", c.Args().First(), id, flag)
		return c.Set(flag, id)
	}
	if !l.HasEncoder() {
		err = infer("encoder", weights.TypeBLIP2Vision, config.EncoderWidth)
	}
	return errors.Join(err, infer("llm", l.LanguageType(), config.LanguageWidth))
}

// onlyOne returns the id of the only model of a width that the family of a model_type
// reads, empty if there are none or several.
func onlyOne(reg *registry.Registry, modelType string, width int) string {
	family, ok := adapters.FamilyOf(reg.Families(), modelType)
	if !ok {
		return ""
	}
	found := ""
	for _, id := range reg.IDs() {
		m, err := reg.Lookup(id)
		if err != nil || m.Manifest.Family != family.Name || m.Width != width {
			continue
		}
		if found != "" {
			return ""
		}
		found = id
	}
	return found
}

// saveLAVIS writes the bridge and, where the file holds it and no other is named,
// the encoder into dir, which will be final.
func saveLAVIS(c *cli.Context, l *convert.LAVIS, b *bridge.Bridge, dir, final string) error {
	if l.HasEncoder() && !c.IsSet("encoder") {
		encoder, err := l.Encoder(c.Int("encoder-heads"))
		if err != nil {
			return err
		}
		err = encoder.Write(c.Context, filepath.Join(dir, "encoder"), nil)
		if err = errors.Join(err, encoder.Close()); err != nil {
			return err
		}
		b.Info.Vision.Path = filepath.Join(final, "encoder")
	}
	return b.Save(filepath.Join(dir, "bridge"), adapters.Float32)
}
