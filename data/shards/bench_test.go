package shards

import (
	"archive/tar"
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// samplesVariable is the number of samples of the benchmarks; 2 million in 200 shards take 4 GB of
// disk. The default is small.
const samplesVariable = "BRIDGE_BENCH_SAMPLES"

// benchShards writes 200 shards of tiny samples, or finds those of an earlier benchmark in the
// folder that BRIDGE_BENCH_DIR names.
func benchShards(b *testing.B) []string {
	b.Helper()
	const shards = 200
	samples := 20_000
	if text := os.Getenv(samplesVariable); text != "" {
		var err error
		if samples, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	dir := os.Getenv("BRIDGE_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	var paths []string
	for s := range shards {
		path := filepath.Join(dir, fmt.Sprintf("%05d.tar", s))
		if _, err := os.Stat(path); err != nil {
			if err := writeShard(path, s, samples/shards); err != nil {
				b.Fatal(err)
			}
		}
		paths = append(paths, path)
	}
	return paths
}

func writeShard(path string, s, samples int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(out)
	for i := range samples {
		for _, ext := range []string{"jpg", "txt"} {
			data := []byte(fmt.Sprintf("\xff\xd8\xffcaption %d of shard %d", i, s))
			if ext == "txt" {
				data = data[3:]
			}
			if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%05d%04d.%s", s, i, ext), Size: int64(len(data)), Mode: 0o444}); err != nil {
				return err
			}
			if _, err := w.Write(data); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Flush()
}

// BenchmarkScan makes the index of 200 shards.
func BenchmarkScan(b *testing.B) {
	paths := benchShards(b)
	for b.Loop() {
		all, err := indexPaths(paths, "")
		if err != nil {
			b.Fatal(err)
		}
		_ = os.Remove(all[0]) // there may be none
		r, err := Open(b.Context(), paths, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(r.Len()), "samples")
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens 200 shards from their index, and reads 1000 samples spread over them.
func BenchmarkOpen(b *testing.B) {
	paths := benchShards(b)
	r, err := Open(b.Context(), paths, Options{})
	if err != nil || r.Close() != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(mustIndex(b, paths))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := Open(b.Context(), paths, Options{})
		if err != nil {
			b.Fatal(err)
		}
		const reads = 1000
		for i := range reads {
			if _, err := r.Record(i * (r.Len() - 1) / (reads - 1)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(r.Len()), "samples")
		b.ReportMetric(float64(info.Size())/float64(r.Len()), "index-B/sample")
		b.ReportMetric(peakMB(b), "peak-RSS-MB")
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func mustIndex(b *testing.B, paths []string) string {
	b.Helper()
	all, err := indexPaths(paths, "")
	if err != nil {
		b.Fatal(err)
	}
	return all[0]
}

// BenchmarkRecord reads samples in a random order.
func BenchmarkRecord(b *testing.B) {
	r, err := Open(b.Context(), benchShards(b), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	i := 0
	for b.Loop() {
		if _, err := r.Record(i); err != nil {
			b.Fatal(err)
		}
		i = (i + 7919) % r.Len()
	}
}

// peakMB returns the most memory that the process had resident, mapped files among it, in 10^6
// bytes; 0 if the system does not tell it.
func peakMB(b *testing.B) float64 {
	b.Helper()
	bytes, err := procfs.Peak(os.Getpid())
	if err != nil {
		return 0
	}
	return float64(bytes) / 1e6
}
