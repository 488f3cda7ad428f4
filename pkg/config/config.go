// Package config reads .kubectl-prod.yaml: how a team wants its cluster
// judged.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/expression"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// DefaultFile is read from the working directory where it is there.
const DefaultFile = ".kubectl-prod.yaml"

// Config is what a file says, checked against the catalogue.
type Config struct {
	// Skip and Enable are practices that the file turns off, and optional ones
	// that it turns on.
	Skip, Enable []string
	// Severities are those that the file changes, by practice.
	Severities map[string]report.Severity
	// Thresholds are those that the file changes, by practice and name.
	Thresholds map[string]map[string]float64
	Ignores    []practice.Ignore
	// Custom are the file's own practices.
	Custom []practice.Practice
}

// file is the file's own shape.
type file struct {
	APIVersion string             `yaml:"apiVersion"`
	Kind       string             `yaml:"kind"`
	Practices  map[string]setting `yaml:"practices"`
	Ignore     []ignore           `yaml:"ignore"`
	Custom     []custom           `yaml:"custom"`
}

// setting changes one practice.
type setting struct {
	Enabled  *bool           `yaml:"enabled"`
	Severity report.Severity `yaml:"severity"`
	// Thresholds are nodes, so that a mistake in one is told at its line.
	Thresholds map[string]yaml.Node `yaml:"thresholds"`
}

// ignore sets findings aside; see [practice.Ignore].
type ignore struct {
	Practice  string `yaml:"practice"`
	Namespace string `yaml:"namespace"`
	Kind      string `yaml:"kind"`
	Name      string `yaml:"name"`
	Container string `yaml:"container"`
	Selector  string `yaml:"selector"`
	Reason    string `yaml:"reason"`
	Until     string `yaml:"until"`
}

// custom is a practice of the user's own; see [expression.Rule].
type custom struct {
	ID         string          `yaml:"id"`
	Title      string          `yaml:"title"`
	Severity   report.Severity `yaml:"severity"`
	Reason     string          `yaml:"reason"`
	Fix        string          `yaml:"fix"`
	Kinds      []string        `yaml:"kinds"`
	Expression string          `yaml:"expression"`
	Message    string          `yaml:"message"`
}

// Load reads a file and checks it against the catalogue. The error names the
// file, and one line for each mistake with its line and key.
func Load(name string, catalogue []practice.Practice) (*Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	config, err := Parse(name, data, catalogue)
	if err != nil {
		return nil, fmt.Errorf("%s is not as it should be:\n%w", name, err)
	}
	return config, nil
}

// Find is Load of the file that was named; without a name, of [DefaultFile],
// where it is there.
func Find(name string, catalogue []practice.Practice) (*Config, error) {
	if name == "" {
		if _, err := os.Stat(DefaultFile); err != nil {
			return &Config{}, nil //nolint:nilerr // nobody asked for the file
		}
		name = DefaultFile
	}
	return Load(name, catalogue)
}

// Choose is [practice.Choose] as the file wants it: what the file skips is left
// out unless check names it, what it enables is in unless check names
// something else, and severities and thresholds are as it says.
func (c *Config) Choose(all []practice.Practice, check, skip []string) ([]practice.Practice, error) {
	return practice.Choose(c.Adjust(all), check, skip)
}

// Adjust are the practices as the file changes them.
func (c *Config) Adjust(all []practice.Practice) []practice.Practice {
	all = slices.Clone(all)
	for i := range all {
		p := &all[i]
		p.Severity = cmp.Or(c.Severities[p.ID], p.Severity)
		p.Optional = (p.Optional || slices.Contains(c.Skip, p.ID)) && !slices.Contains(c.Enable, p.ID)
		p.Thresholds = p.Thresholds.With(c.Thresholds[p.ID])
	}
	return all
}

// Parse is Load of a file's content.
func Parse(name string, data []byte, catalogue []practice.Practice) (*Config, error) {
	var f file
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, worded(name, err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%d: a second document begins here, and would not be read", name, second.Line)
	}
	c := &checking{name: name, catalogue: catalogue, config: &Config{Severities: map[string]report.Severity{}, Thresholds: map[string]map[string]float64{}}}
	if err := yaml.Unmarshal(data, &c.root); err != nil {
		return nil, worded(name, err)
	}
	c.header(f)
	for i, rule := range f.Custom {
		c.custom(i, rule)
	}
	c.catalogue = slices.Concat(c.catalogue, c.config.Custom)
	for _, id := range c.inOrder(f.Practices) {
		c.practice(id, f.Practices[id])
	}
	for i, ignore := range f.Ignore {
		c.ignore(i, ignore)
	}
	return c.config, errors.Join(c.errs...)
}

// worded turns the decoder's errors into one line each, with file and line
// first and the decoder's own type names left out.
func worded(name string, err error) error {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var errs []error
	for _, text := range typed.Errors {
		text = regexp.MustCompile(`field (\S+) not found in type \S+`).ReplaceAllString(text, `there is no key "$1" here`)
		text = regexp.MustCompile(` into config\.\S+| into report\.\S+`).ReplaceAllString(text, "")
		errs = append(errs, errors.New(name+":"+strings.TrimPrefix(text, "line ")))
	}
	return errors.Join(errs...)
}

// checking carries the check of one file.
type checking struct {
	name      string
	root      yaml.Node
	catalogue []practice.Practice
	config    *Config
	errs      []error
}

// fail notes a mistake at a key.
func (c *checking) fail(at *yaml.Node, format string, args ...any) {
	line := 1
	if at != nil {
		line = at.Line
	}
	c.errs = append(c.errs, fmt.Errorf("%s:%d: %s", c.name, line, fmt.Sprintf(format, args...)))
}

// at finds the node of a key: names in mappings, numbers in sequences. Where
// there is none, it is the nearest above.
func (c *checking) at(keys ...string) *yaml.Node {
	node := &c.root
	if len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, key := range keys {
		next := child(node, key)
		if next == nil {
			return node
		}
		node = next
	}
	return node
}

func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(key); err == nil && i < len(node.Content) {
			return node.Content[i]
		}
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

func (c *checking) header(f file) {
	if want := report.GroupVersion().String(); f.APIVersion != "" && f.APIVersion != want {
		c.fail(c.at("apiVersion"), "apiVersion is %q, and this version reads %s", f.APIVersion, want)
	}
	if f.Kind != "" && f.Kind != "Config" {
		c.fail(c.at("kind"), "kind is %q, and has to be Config", f.Kind)
	}
}

// inOrder are the practices as the file lists them, so that mistakes are too.
func (c *checking) inOrder(practices map[string]setting) []string {
	var ids []string
	node := c.at("practices")
	for i := 0; i+1 < len(node.Content); i += 2 {
		if _, ok := practices[node.Content[i].Value]; ok {
			ids = append(ids, node.Content[i].Value)
		}
	}
	return ids
}

func (c *checking) practice(id string, s setting) {
	at := c.at("practices", id)
	index := slices.IndexFunc(c.catalogue, func(p practice.Practice) bool { return p.ID == id })
	if index < 0 {
		c.fail(at, "practices: there is no practice %q (kubectl prod doctor list shows them)", id)
		return
	}
	if s.Severity != "" && !slices.Contains(report.Severities(), s.Severity) {
		c.fail(c.at("practices", id, "severity"), "practices.%s.severity is %q, and has to be critical, warning or info", id, s.Severity)
		return
	}
	if s.Severity != "" {
		c.config.Severities[id] = s.Severity
	}
	c.thresholds(c.catalogue[index], s.Thresholds)
	switch {
	case s.Enabled == nil:
	case !*s.Enabled:
		c.config.Skip = append(c.config.Skip, id)
	default:
		c.config.Enable = append(c.config.Enable, id)
	}
}

// thresholds takes up the numbers that a practice declares, and no others.
func (c *checking) thresholds(p practice.Practice, set map[string]yaml.Node) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		node, key := set[name], fmt.Sprintf("practices.%s.thresholds.%s", p.ID, name)
		if !slices.ContainsFunc(p.Thresholds, func(t practice.Threshold) bool { return t.Name == name }) {
			c.fail(&node, "%s: the practice has %s", key, declared(p))
			continue
		}
		var value float64
		if err := node.Decode(&value); err != nil || !(value > 0) || math.IsInf(value, 0) {
			c.fail(&node, "%s is %q, and has to be a number above 0", key, node.Value)
			continue
		}
		if c.config.Thresholds[p.ID] == nil {
			c.config.Thresholds[p.ID] = map[string]float64{}
		}
		c.config.Thresholds[p.ID][name] = value
	}
}

// declared words which thresholds a practice has.
func declared(p practice.Practice) string {
	var names []string
	for _, t := range p.Thresholds {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		return "no thresholds"
	}
	return "only " + strings.Join(names, ", ")
}

func (c *checking) ignore(i int, raw ignore) {
	index := strconv.Itoa(i)
	key := fmt.Sprintf("ignore[%d]", i)
	at := func(field string) *yaml.Node { return c.at("ignore", index, field) }
	before := len(c.errs)
	if raw.Reason == "" {
		c.fail(at("reason"), "%s has no reason, and needs one", key)
	}
	if !c.known(raw.Practice) {
		c.fail(at("practice"), "%s.practice is %q, and has to be a practice, a chapter or *", key, raw.Practice)
	}
	for field, pattern := range map[string]string{"namespace": raw.Namespace, "kind": raw.Kind, "name": raw.Name, "container": raw.Container} {
		if _, err := path.Match(pattern, ""); err != nil {
			c.fail(at(field), "%s.%s is %q, which is no glob pattern", key, field, pattern)
		}
	}
	parsed := practice.Ignore{
		Practice: raw.Practice, Namespace: raw.Namespace, Kind: raw.Kind, Name: raw.Name, Container: raw.Container,
		Reason: raw.Reason, Source: fmt.Sprintf("%s:%d", c.name, c.at("ignore", index).Line),
	}
	var err error
	if raw.Selector != "" {
		if parsed.Selector, err = labels.Parse(raw.Selector); err != nil {
			c.fail(at("selector"), "%s.selector does not parse: %v", key, err)
		}
	}
	if raw.Until != "" {
		if parsed.Until, err = time.Parse(time.DateOnly, raw.Until); err != nil {
			c.fail(at("until"), "%s.until is %q, and has to be a date like 2026-12-31", key, raw.Until)
		}
	}
	if len(c.errs) == before {
		c.config.Ignores = append(c.config.Ignores, parsed)
	}
}

func (c *checking) custom(i int, raw custom) {
	index := strconv.Itoa(i)
	key := fmt.Sprintf("custom[%d]", i)
	before := len(c.errs)
	if !regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`).MatchString(raw.ID) {
		c.fail(c.at("custom", index, "id"), "%s.id is %q, and has to be lower-case words with dashes", key, raw.ID)
	} else if c.known(raw.ID) || slices.ContainsFunc(c.config.Custom, func(p practice.Practice) bool { return p.ID == raw.ID }) {
		c.fail(c.at("custom", index, "id"), "%s.id: there is a practice or chapter %q already", key, raw.ID)
	}
	if raw.Title == "" {
		c.fail(c.at("custom", index, "title"), "%s has no title, and needs one", key)
	}
	if !slices.Contains(report.Severities(), raw.Severity) {
		c.fail(c.at("custom", index, "severity"), "%s.severity is %q, and has to be critical, warning or info", key, raw.Severity)
	}
	p, err := expression.Rule{
		ID: raw.ID, Title: raw.Title, Severity: raw.Severity, Reason: raw.Reason, Fix: raw.Fix,
		Kinds: raw.Kinds, Expression: raw.Expression, Message: raw.Message,
	}.Practice()
	if err != nil {
		field, _, _ := strings.Cut(err.Error(), ":")
		c.fail(c.at("custom", index, field), "%s.%v", key, err)
	}
	if len(c.errs) == before {
		c.config.Custom = append(c.config.Custom, p)
	}
}

// known reports whether a name is that of a practice, a chapter, or all.
func (c *checking) known(name string) bool {
	return name == "*" || slices.ContainsFunc(c.catalogue, func(p practice.Practice) bool {
		return p.ID == name || string(p.Chapter) == name
	})
}
