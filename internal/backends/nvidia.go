package backends

import (
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// DriverFile is the file in which NVIDIA's driver reports its version.
const DriverFile = "/proc/driver/nvidia/version"

// leastDriver is the oldest driver of NVIDIA that CUDA 13 runs on.
const leastDriver = 580

// leastCapability is that of the oldest cards that CUDA 13 runs on, of the generation Turing.
const leastCapability = 7.5

// Card is an NVIDIA GPU as nvidia-smi describes it.
type Card struct {
	Name       string
	Driver     string // version
	Total      int    // MiB of memory
	Free       int    // MiB that no process uses
	Capability string // of the computation: "9.0"
}

// Cards returns the machine's NVIDIA GPUs, or none without nvidia-smi, which is part of the driver.
func Cards(ctx context.Context) []Card {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,driver_version,memory.total,memory.free,compute_cap",
		"--format=csv,noheader,nounits").Output()
	if err != nil {
		return nil
	}
	return parseCards(string(out))
}

// parseCards reads nvidia-smi's lines. It leaves out lines that it cannot read.
func parseCards(text string) []Card {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.FieldsPerRecord = true, -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil
	}
	var cards []Card
	for _, row := range rows {
		if len(row) != 5 {
			continue
		}
		total, err := strconv.Atoi(row[2])
		if err != nil {
			continue
		}
		free, err := strconv.Atoi(row[3])
		if err != nil {
			continue
		}
		cards = append(cards, Card{Name: row[0], Driver: row[1], Total: total, Free: free, Capability: row[4]})
	}
	return cards
}

// String describes the card in a line.
func (c Card) String() string {
	return fmt.Sprintf("%s, %.0f GiB (%.0f free), driver %s, compute capability %s",
		c.Name, float64(c.Total)/1024, float64(c.Free)/1024, c.Driver, c.Capability)
}

// Lacks says what about the card or its driver is too old for XLA's plugin, and what helps. It is
// empty if nothing is.
func (c Card) Lacks() string {
	if err := CheckDriver(c.Driver); err != nil {
		return err.Error()
	}
	if v, err := strconv.ParseFloat(c.Capability, 64); err == nil && v < leastCapability {
		return fmt.Sprintf("CUDA 13 needs compute capability %.1f, this card has %s: use --backend xla:cpu or a newer card", leastCapability, c.Capability)
	}
	return ""
}

// ParseDriver returns the version in the text of [DriverFile], or "" if the text has none.
func ParseDriver(text string) string {
	found := regexp.MustCompile(`Kernel Module.*?\s(\d+(?:\.\d+)+)`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}

// CheckDriver returns an error if a version of NVIDIA's driver, such as "580.65.06", is too old for
// CUDA 13. A version that it cannot read is not too old.
func CheckDriver(version string) error {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil || n >= leastDriver {
		return nil
	}
	return adapters.Errorf(adapters.Unsupported, "NVIDIA's driver %s is too old: CUDA 13 needs %d or newer", version, leastDriver).
		WithRemedy("install a newer driver; or put a plugin for an older CUDA, named pjrt_c_api_cuda_plugin.so, and its libraries " +
			"into a folder in PJRT_PLUGIN_LIBRARY_PATH")
}
