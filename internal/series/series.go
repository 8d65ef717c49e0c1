// Package series keeps the attributes of the series of a metric, so that a call that is measured in microseconds does not
// build them each time.
package series

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// most is how many series are kept. OpenTelemetry counts all series beyond this number as one, so there is no use for more.
const most = 2000

// Cache keeps the series of a metric. A key has what tells one series from another.
type Cache[K comparable] struct {
	attributes func(K) []attribute.KeyValue

	mu    sync.RWMutex
	known map[K]*Series
}

// Series is one series: the options with which a counter adds to it, and with which a histogram or gauge records.
type Series struct {
	Add    []metric.AddOption
	Record []metric.RecordOption
}

// New returns a cache. attributes returns the attributes of a key's series.
func New[K comparable](attributes func(K) []attribute.KeyValue) *Cache[K] {
	return &Cache[K]{attributes: attributes, known: map[K]*Series{}}
}

// Of returns the series of a key.
func (c *Cache[K]) Of(key K) *Series {
	c.mu.RLock()
	s := c.known[key]
	c.mu.RUnlock()
	if s != nil {
		return s
	}
	option := metric.WithAttributeSet(attribute.NewSet(c.attributes(key)...))
	s = &Series{[]metric.AddOption{option}, []metric.RecordOption{option}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) < most {
		c.known[key] = s
	}
	return s
}
