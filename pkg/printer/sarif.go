package printer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// These are the parts of SARIF 2.1.0 that code scanning reads; a test holds
// what is written against the official schema.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string             `json:"id"`
		ShortDescription     sarifText          `json:"shortDescription"`
		FullDescription      sarifText          `json:"fullDescription"`
		Help                 sarifText          `json:"help"`
		HelpURI              string             `json:"helpUri"`
		DefaultConfiguration sarifConfiguration `json:"defaultConfiguration"`
		Properties           sarifProperties    `json:"properties"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		Tags []string `json:"tags"`
	}
	sarifInvocation struct {
		ExecutionSuccessful        bool                `json:"executionSuccessful"`
		EndTimeUTC                 string              `json:"endTimeUtc"`
		ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		BaselineState       string            `json:"baselineState,omitempty"`
		Locations           []sarifLocation   `json:"locations"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical  `json:"physicalLocation"`
		LogicalLocations []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name               string `json:"name,omitempty"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

// sarif writes the user's findings as SARIF 2.1.0, each selected practice as a
// rule. The platform's findings are left out: code scanning shows suppressed
// results as open alerts, on objects that their reader cannot edit. Those that a
// baseline knows are in it, as unchanged, or code scanning would close their
// alerts; those mended are not, or it would keep them open.
func (o Options) sarif(w io.Writer, d *report.Diagnosis) error {
	run := sarifRun{
		Tool: sarifTool{Driver: sarifDriver{
			Name: "kubectl-prod", Version: o.Version, InformationURI: home, Rules: []sarifRule{},
		}},
		Invocations: []sarifInvocation{{
			ExecutionSuccessful: true, EndTimeUTC: d.Time.UTC().Format("2006-01-02T15:04:05Z"), ToolExecutionNotifications: notifications(d),
		}},
		Results: []sarifResult{},
	}
	ruleIndex := map[string]int{}
	texts := o.texts()
	for i, p := range d.Practices {
		ruleIndex[p.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(p, texts.of(p.ID)))
	}
	told := map[string]int{}
	for f, state := range baselined(d) {
		if f.Platform || state == mended {
			continue
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Practice, RuleIndex: ruleIndex[f.Practice], Level: sarifLevel(f.Severity), BaselineState: sarifBaseline(state),
			Message:             sarifText{Text: unlinked(sentences(f.Message, f.Fix))},
			Locations:           []sarifLocation{o.sarifLocation(f)},
			PartialFingerprints: fingerprints(f, told),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // it is no HTML, and people read it
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{run},
	})
}

func sarifRuleOf(p report.PracticeResult, text report.Practice) sarifRule {
	help := sarifText{
		Text:     fmt.Sprintf("%s\n\nHow it is judged: %s\n\nHow to mend it: %s\n", text.Reason, text.Judged, text.Fix),
		Markdown: fmt.Sprintf("%s\n\n**How it is judged.** %s\n\n**How to mend it.** %s\n", markdownText(text.Reason), markdownText(text.Judged), markdownText(text.Fix)),
	}
	for _, source := range text.Sources {
		help.Text += "\n" + source
		help.Markdown += "\n- " + source
	}
	return sarifRule{
		ID: p.ID, HelpURI: docsPage(p.ID), Help: help,
		ShortDescription: sarifText{Text: text.Title}, FullDescription: sarifText{Text: text.Reason},
		DefaultConfiguration: sarifConfiguration{Level: sarifLevel(p.Severity)},
		Properties:           sarifProperties{Tags: []string{p.Chapter}},
	}
}

func sarifLevel(s report.Severity) string {
	switch s {
	case report.Critical:
		return "error"
	case report.Warning:
		return "warning"
	default:
		return "note"
	}
}

// sarifBaseline is a state by SARIF's name for it (§3.27.24).
func sarifBaseline(state baseline) string {
	if state == known {
		return "unchanged"
	}
	return string(state)
}

// notifications tell what could not be checked, and what happened of late.
func notifications(d *report.Diagnosis) []sarifNotification {
	var all []sarifNotification
	for _, n := range d.NotChecked {
		level := "note"
		if n.State == "forbidden" || n.State == "failed" {
			level = "warning"
		}
		all = append(all, sarifNotification{Level: level, Message: sarifText{Text: unlinked(escape(
			fmt.Sprintf("not checked: %s: %s: %s (%s)", n.Subject, n.State, n.Reason, strings.Join(concerned(n), ", "))))}})
	}
	for _, c := range d.Changes {
		text := fmt.Sprintf("changed: %s: %s, at %s", qualified(c.Object), c.What, c.Time.UTC().Format(time.RFC3339))
		all = append(all, sarifNotification{Level: "note", Message: sarifText{Text: unlinked(escape(text))}})
	}
	for _, e := range d.Events {
		text := fmt.Sprintf("warning event, %d times: %s: %s: %s", e.Count, qualified(e.Object), e.Reason, e.Message)
		all = append(all, sarifNotification{Level: "note", Message: sarifText{Text: unlinked(escape(text))}})
	}
	return all
}

// sarifLocation is where a finding stands: the line of a manifest or, since
// code scanning shows nothing without a file, a made-up one for a live object.
func (o Options) sarifLocation(f report.Finding) sarifLocation {
	object := qualified(f.Object)
	location := sarifLocation{
		PhysicalLocation: sarifPhysical{ArtifactLocation: sarifArtifact{URI: o.artifact(f)}, Region: sarifRegion{StartLine: max(f.Line, 1)}},
		LogicalLocations: []sarifLogical{{Name: escape(f.Object.Name), FullyQualifiedName: escape(object), Kind: "resource"}},
	}
	if f.Path != "" {
		location.LogicalLocations = append(location.LogicalLocations, sarifLogical{FullyQualifiedName: escape(object + ":" + f.Path), Kind: "property"})
	}
	return location
}

// artifact is the URI of a finding's file, relative to the working directory
// where the file is below it, for that is what GitHub renders.
func (o Options) artifact(f report.Finding) string {
	switch {
	case f.File == "":
		segments := []string{"cluster"}
		for segment := range strings.SplitSeq(qualified(f.Object), "/") {
			segments = append(segments, url.PathEscape(segment))
		}
		return strings.Join(segments, "/")
	case strings.HasPrefix(f.File, "http://"), strings.HasPrefix(f.File, "https://"):
		if parsed, err := url.Parse(f.File); err == nil {
			return parsed.String()
		}
	}
	file := filepath.Clean(f.File)
	if f.Line == 0 {
		file = filepath.Join(file, "kustomization.yaml") // only what kustomize built has no line of its own
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(o.Directory, file)
	}
	if relative, err := filepath.Rel(o.Directory, file); err == nil && filepath.IsLocal(relative) {
		return (&url.URL{Path: filepath.ToSlash(relative)}).String()
	}
	return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(file), "/")}).String()
}

// fingerprints name a finding over runs: by practice, object and field, not by
// line or message, which move and carry numbers. told counts those of one
// name. GitHub looks at primaryLocationLineHash alone, and would take two
// containers of one object for one alert if it had to hash their line.
func fingerprints(f report.Finding, told map[string]int) map[string]string {
	name := strings.Join([]string{f.Practice, f.Object.APIVersion, f.Object.Kind, f.Object.Namespace, f.Object.Name, f.Path, f.File}, "\x00")
	told[name]++
	sum := sha256.Sum256([]byte(name))
	print := fmt.Sprintf("%s:%d", hex.EncodeToString(sum[:16]), told[name])
	return map[string]string{"kubectlProd/v1": print, "primaryLocationLineHash": print}
}

// unlinked keeps text from being read as one of SARIF's embedded links.
func unlinked(text string) string { return strings.ReplaceAll(text, "](", "] (") }
