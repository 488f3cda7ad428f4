package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/resource"
)

// Manifests is a set of files as a source of a Snapshot.
type Manifests struct {
	// Filenames are files, directories, URLs, or "-" for Stdin.
	Filenames []string
	// Recursive descends into directories.
	Recursive bool
	// Kustomize is a directory to build with kustomize.
	Kustomize string
	// Namespace is where objects that name none would be created.
	Namespace string
	Stdin     io.Reader
	// AsLive takes the files for a dump of a whole running cluster, so that
	// what is not in them does not exist.
	AsLive bool
	// Time is the moment to judge ages against.
	Time time.Time
	// Contents are read in the place of the files of these names.
	Contents map[string][]byte
}

// Load reads every object it can and returns the Snapshot together with one
// error for each file or document that it could not read; these name file,
// line and reason. Kinds that no practice knows are counted and left aside.
// When the context ends there is no Snapshot, and its error is the only one.
func (m Manifests) Load(ctx context.Context) (*Snapshot, []error) {
	loaded, err := leaving(ctx, func() (*loading, error) { return m.load(), nil })
	if err != nil {
		return nil, []error{err}
	}
	return loaded.snapshot, loaded.errs
}

// Hold reads what can be read only once (standard input, pipes, devices) into
// Contents, so that the result can be loaded any number of times.
func (m Manifests) Hold(ctx context.Context) (Manifests, error) {
	m.Filenames, m.Contents = slices.Clone(m.Filenames), maps.Clone(m.Contents)
	if m.Contents == nil {
		m.Contents = map[string][]byte{}
	}
	for i, name := range m.Filenames {
		source := io.NopCloser(m.Stdin)
		if name == "-" {
			m.Filenames[i] = "stdin"
		} else if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() || info.IsDir() {
			continue // and where there is none, Load tells of it
		} else {
			source = nil
		}
		text, err := leaving(ctx, func() ([]byte, error) { return readOnce(name, source) })
		if err != nil {
			return m, err
		}
		m.Contents[m.Filenames[i]] = text
	}
	return m, nil
}

// maxHeld bounds what is held of one stream: a device may have no end.
const maxHeld = 16 * maxDocument

// readOnce reads the source or, where there is none, opens the file first,
// which waits for who writes to a pipe.
func readOnce(name string, source io.ReadCloser) ([]byte, error) {
	if source == nil {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		source = file
	}
	defer func() { _ = source.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(source, maxHeld+1))
	if err == nil && len(text) > maxHeld {
		err = fmt.Errorf("%s: more than %d MiB", name, maxHeld>>20)
	}
	return text, err
}

// leaving waits for read, and when the context ends leaves it where it is:
// nothing else ends the wait for a pipe that nobody writes to.
func leaving[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := read()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (m Manifests) load() *loading {
	loading := &loading{
		manifests: m,
		byKind:    map[schema.GroupKind][]reading{},
		snapshot: &Snapshot{
			Origin:   Origin{Live: m.AsLive},
			Time:     m.Time,
			coverage: map[Kind]Coverage{},
			sources:  map[Ref]Position{},
			systems:  newSystems(),
			anchors:  newAnchors(),
		},
	}
	for _, reading := range readings() {
		loading.snapshot.coverage[reading.kind] = Coverage{Kind: reading.kind, State: m.initialState(reading.kind)}
		for _, group := range append(reading.formerGroups, reading.gvr.Group) {
			kind := schema.GroupKind{Group: group, Kind: reading.object}
			loading.byKind[kind] = append(loading.byKind[kind], reading)
		}
	}
	loading.snapshot.coverage[PodTemplates] = Coverage{Kind: PodTemplates, State: Read}
	for _, p := range probes() {
		loading.snapshot.coverage[p.kind] = Coverage{Kind: p.kind, State: NeedsCluster, Allow: told(p.allow)}
		if m.AsLive && slices.Contains(prometheusKinds(), p.kind) {
			loading.snapshot.coverage[p.kind] = Coverage{Kind: p.kind, State: Absent, Optional: true}
		}
	}
	for _, name := range m.Filenames {
		loading.name(name)
	}
	if m.Kustomize != "" {
		loading.kustomize()
	}
	loading.snapshot = loading.snapshot.complete()
	return loading
}

// initialState is Read for what people write down, even where the files hold
// none of it; NeedsCluster for what only a running cluster has; and Absent for
// an API that a dump shows no object of.
func (m Manifests) initialState(kind Kind) State {
	switch {
	case m.AsLive && (kind == NodeMetrics || kind == PodMetrics):
		return Absent
	case m.AsLive:
		return Read
	case kind == Nodes, kind == NodeMetrics, kind == PodMetrics, kind == EtcdSnapshots, kind == OpenShiftBackups, kind == EndpointSlices:
		return NeedsCluster
	default:
		return Read
	}
}

// loading carries one read of manifests.
type loading struct {
	manifests Manifests
	snapshot  *Snapshot
	byKind    map[schema.GroupKind][]reading // Secrets have two
	errs      []error
}

func (l *loading) fail(err error) { l.errs = append(l.errs, err) }

func (l *loading) name(name string) {
	text, held := l.manifests.Contents[name]
	switch {
	case held:
		l.stream(name, bytes.NewReader(text))
	case name == "-":
		l.stream("stdin", l.manifests.Stdin)
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		l.build(name, newBuilder().FilenameParam(false, &resource.FilenameOptions{Filenames: []string{name}}))
	default:
		l.path(name)
	}
}

// path reads a file, or the manifests of a directory.
func (l *loading) path(name string) {
	visitors, err := resource.ExpandPathsToFileVisitors(nil, name, l.manifests.Recursive, resource.FileExtensions, nil)
	if err != nil {
		l.fail(err)
		return
	}
	if len(visitors) == 0 {
		l.fail(fmt.Errorf("%s: no .yaml, .yml or .json file there (-R descends into directories)", name))
	}
	for _, visitor := range visitors {
		if file, ok := visitor.(*resource.FileVisitor); ok {
			l.file(file.Path)
		}
	}
}

func (l *loading) file(path string) {
	if filepath.Base(path) == "kustomization.yaml" && !slices.Contains(l.manifests.Filenames, path) {
		return // an input of kustomize (-k), not a manifest
	}
	if text, held := l.manifests.Contents[path]; held {
		l.stream(path, bytes.NewReader(text))
		return
	}
	if err := l.noFile(path); err != nil {
		l.fail(err)
		return
	}
	file, err := os.Open(path)
	if err != nil {
		l.fail(err)
		return
	}
	defer func() { _ = file.Close() }() // it was only read
	l.stream(path, file)
}

// noFile says what in a directory is no file: nobody may ever write to a pipe
// there, or a device have no end. Who names one means it.
func (l *loading) noFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().IsRegular() || slices.Contains(l.manifests.Filenames, path):
		return nil
	case info.Mode()&os.ModeNamedPipe != 0:
		return fmt.Errorf("%s: a named pipe, and no file", path)
	default:
		return fmt.Errorf("%s: not a regular file", path)
	}
}

// stream reads each YAML document by itself, so that a broken one costs itself
// alone and every object knows its line.
func (l *loading) stream(name string, r io.Reader) {
	documents, err := split(r)
	if err != nil {
		l.fail(fmt.Errorf("%s: %w", name, err))
	}
	for _, doc := range documents {
		builder := newBuilder().Stream(bytes.NewReader(doc.data), name)
		if err := l.visit(builder, Position{File: name, Line: doc.line}); err != nil {
			l.fail(fmt.Errorf("%s:%s", name, inFile(err, doc.line)))
		}
	}
}

func (l *loading) kustomize() {
	l.build(l.manifests.Kustomize, newBuilder().FilenameParam(false, &resource.FilenameOptions{Kustomize: l.manifests.Kustomize}))
}

func (l *loading) build(name string, builder *resource.Builder) {
	if err := l.visit(builder, Position{File: name}); err != nil {
		l.fail(fmt.Errorf("%s: %w", name, err))
	}
}

func newBuilder() *resource.Builder {
	return resource.NewLocalBuilder().Unstructured().ContinueOnError().Flatten()
}

// visit takes up what a builder yields.
func (l *loading) visit(builder *resource.Builder, at Position) error {
	return builder.Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		object, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			return nil
		}
		return l.take(object, at)
	})
}

// take notes an object as it is written, and decodes it for each reading of
// its kind.
func (l *loading) take(object *unstructured.Unstructured, at Position) error {
	l.snapshot.Origin.Manifests++
	if l.manifests.AsLive && object.GetAPIVersion() == "dump.prod.kubectl.io/v1" {
		path, _, _ := unstructured.NestedString(object.Object, "path")
		body, _, _ := unstructured.NestedString(object.Object, "body")
		return l.snapshot.takeAnswer(path, body)
	}
	readings := l.byKind[object.GroupVersionKind().GroupKind()]
	if object.GetNamespace() == "" && len(readings) > 0 && !readings[0].clusterScoped {
		object.SetNamespace(l.manifests.Namespace)
	}
	var shaped []*Workload
	if len(readings) == 0 || readings[0].custom() {
		if shaped = shapedWorkloads(object, l.manifests.Namespace); len(shaped) > 0 {
			object.SetNamespace(shaped[0].Self.Namespace)
		}
	}
	l.snapshot.shaped = append(l.snapshot.shaped, shaped...)
	written := RefTo(object)
	l.snapshot.Written = append(l.snapshot.Written, written)
	l.snapshot.sources[written] = at
	for _, reading := range readings {
		selector, err := fields.ParseSelector(reading.fieldSelector)
		if err != nil {
			return err
		}
		kind, _, _ := unstructured.NestedString(object.Object, "type")
		if !selector.Matches(fields.Set{"type": kind, "metadata.name": object.GetName()}) {
			continue
		}
		if err := l.decode(object, reading, at); err != nil {
			return err
		}
	}
	if len(readings) > 0 && !readings[0].custom() {
		return doubts(object, readings[0].gvr.Version)
	}
	return nil
}

// doubts says why the verdicts on an object that was read may be wrong.
func doubts(object *unstructured.Unstructured, known string) error {
	name := object.GetKind() + " " + object.GetName()
	if written := object.GroupVersionKind().Version; version.CompareKubeAwareVersionStrings(written, known) > 0 {
		return fmt.Errorf("%s: %s is newer than what this program knows; it is judged as %s", name, object.GetAPIVersion(), known)
	}
	if path, err := badSelector(object.Object["spec"], "spec"); err != nil {
		return fmt.Errorf("%s: %s does not parse, and selects nothing: %w", name, path, err)
	}
	return nil
}

// badSelector finds a label selector that does not parse. Such a selector is a
// field named so; node selectors have expressions of their own.
func badSelector(value any, path string) (string, error) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below, _ := value[key].(map[string]any)
			if below["matchExpressions"] != nil && strings.HasSuffix(strings.ToLower(key), "selector") {
				selector := &metav1.LabelSelector{}
				if runtime.DefaultUnstructuredConverter.FromUnstructured(below, selector) != nil {
					continue // the decoder has told it
				}
				if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
					return path + "." + key, err
				}
			}
			if at, err := badSelector(value[key], path+"."+key); err != nil {
				return at, err
			}
		}
	case []any:
		for i, item := range value {
			if at, err := badSelector(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return at, err
			}
		}
	}
	return "", nil
}

// decode decodes one object into its kind's type. The version does not matter:
// where an older one differs from ours, it differs in fields we do not read.
func (l *loading) decode(object *unstructured.Unstructured, reading reading, at Position) error {
	typed := reading.empty()
	if u, ok := typed.(*unstructured.Unstructured); ok {
		u.Object = object.Object
	} else {
		content := maps.Clone(object.Object)
		if reading.form == metadata || reading.form == untypedMD {
			content = map[string]any{"metadata": content["metadata"]}
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, typed); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	if accessor, err := meta.Accessor(typed); err == nil && reading.kind.isWritten() {
		l.snapshot.edits.note(reading.ref(accessor), accessor)
	}
	trim(typed)
	reading.keep(l.snapshot, typed)
	coverage := l.snapshot.coverage[reading.kind]
	coverage.State, coverage.Objects = Read, coverage.Objects+1
	l.snapshot.coverage[reading.kind] = coverage
	if accessor, err := meta.Accessor(typed); err == nil {
		l.snapshot.sources[reading.ref(accessor)] = at
	}
	return nil
}

// document is one YAML document of a file.
type document struct {
	line int // 1-based line of its first line of content
	data []byte
}

// maxDocument bounds one document; etcd's own limit for an object is 1.5 MiB,
// and JSON spelled as YAML is a few times that at most.
const maxDocument = 16 << 20

// split cuts a stream at its document separators and drops documents that hold
// nothing but comments. What was read before an error is returned with it.
func split(r io.Reader) ([]document, error) {
	var (
		documents []document
		current   document
		hasData   bool
	)
	end := func() {
		if hasData {
			documents = append(documents, current)
		}
		current, hasData = document{}, false
	}
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if isSeparator(line) {
			end()
		} else if content := len(bytes.TrimSpace(line)) > 0; content || current.line > 0 {
			comment := bytes.HasPrefix(bytes.TrimSpace(line), []byte("#"))
			if current.line == 0 && content && !comment {
				current.line = number
			}
			if current.line > 0 {
				current.data = append(current.data, line...)
				hasData = hasData || (content && !comment)
			}
		}
		if len(current.data) > maxDocument {
			return documents, fmt.Errorf("line %d: a document of more than %d MiB", current.line, maxDocument>>20)
		}
		if errors.Is(err, io.EOF) {
			end()
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
	}
}

// readLine reads to the end of a line, or to where it is longer than any
// document: a file without an end fills no memory.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for len(line) <= maxDocument {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return line, nil
}

func isSeparator(line []byte) bool {
	return bytes.Equal(bytes.TrimRight(line, " \t\r\n"), []byte("---")) || bytes.HasPrefix(line, []byte("--- "))
}

// inFile words a document's error with the line in its file: the YAML parser
// counts from the start of the document.
func inFile(err error, firstLine int) string {
	text := err.Error()
	line := firstLine
	if found := regexp.MustCompile(`line (\d+): `).FindStringSubmatchIndex(text); found != nil {
		if offset, err := strconv.Atoi(text[found[2]:found[3]]); err == nil {
			line, text = firstLine+offset-1, text[found[1]:]
		}
	}
	return fmt.Sprintf("%d: %s", line, strings.Join(strings.Fields(text), " "))
}
