package serve

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/engine"
)

// metrics are the figures at /metrics. docs/serving.md lists them.
type metrics struct {
	requests *prometheus.CounterVec   // by path and status
	seconds  *prometheus.HistogramVec // by path
	batches  *prometheus.CounterVec   // by model and result
	rows     *prometheus.HistogramVec // of a batch, by model
	compute  *prometheus.HistogramVec // seconds of a batch, by model
	waited   *prometheus.HistogramVec // seconds of the oldest job of a batch, by model
	tokens   *prometheus.CounterVec   // generated, by model
	handler  http.Handler
}

func newMetrics(s *Server) *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridge_http_requests_total", Help: "Requests, by path and status."}, []string{"path", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bridge_http_request_seconds", Help: "Time from the header of a request to the end of its answer, by path.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 15)}, []string{"path"}),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridge_batches_total", Help: "Batches, by model and kind of error (ok if none)."}, []string{"model", "result"}),
		rows: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bridge_batch_rows", Help: "Answers in a batch, by model.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8)}, []string{"model"}),
		compute: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bridge_batch_seconds", Help: "Time to compute a batch, by model.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 15)}, []string{"model"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bridge_queue_seconds", Help: "Time that the oldest request of a batch has waited, by model.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}, []string{"model"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridge_generated_tokens_total", Help: "Generated tokens, by model."}, []string{"model"}),
	}
	r.MustRegister(m.requests, m.seconds, m.batches, m.rows, m.compute, m.waited, m.tokens)
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"bridge_queue_rows", "Answers that wait for a model.", func() float64 { n, _ := s.engine.Load(); return float64(n) }},
		{"bridge_running_rows", "Answers that are being computed.", func() float64 { _, n := s.engine.Load(); return float64(n) }},
		{"bridge_loaded_bridges", "Bridges that are open.", func() float64 { return float64(s.fleet.Counts().Loaded) }},
		{"bridge_loaded_models", "Frozen models that are open.", func() float64 { return float64(s.fleet.Counts().Models) }},
		{"bridge_loaded_bytes", "Estimated memory of the open bridges and frozen models.", func() float64 { return float64(s.fleet.Counts().Memory) }},
		{"bridge_ready", "1 if a bridge is loaded and the server is not draining.", s.readyValue},
	} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, g.value))
	}
	for _, c := range []struct {
		name, help string
		value      func() float64
	}{
		{"bridge_opened_bridges_total", "Bridges that were opened.", func() float64 { return float64(s.fleet.Counts().Opened) }},
		{"bridge_evicted_bridges_total", "Bridges that were closed to keep to the memory budget.", func() float64 { return float64(s.fleet.Counts().Evicted) }},
	} {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help}, c.value))
	}
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	return m
}

func (m *metrics) show(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}

// request counts a request. Paths that no route has count as one, so that clients cannot make
// series.
func (m *metrics) request(r *http.Request, status int, d time.Duration) {
	_, path, _ := strings.Cut(r.Pattern, " ")
	if path == "" {
		path = "other"
	}
	m.requests.WithLabelValues(path, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(path).Observe(d.Seconds())
}

// batch counts a batch.
func (m *metrics) batch(b engine.Batch) {
	result := "ok"
	if b.Err != nil {
		result = adapters.KindOf(b.Err).String()
	}
	m.batches.WithLabelValues(b.Model, result).Inc()
	m.rows.WithLabelValues(b.Model).Observe(float64(b.Rows))
	m.compute.WithLabelValues(b.Model).Observe(b.Took.Seconds())
	m.waited.WithLabelValues(b.Model).Observe(b.Waited.Seconds())
	m.tokens.WithLabelValues(b.Model).Add(float64(b.Tokens))
}
