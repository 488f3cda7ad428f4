// Package pages finds the commands that the repository's pages tell readers to
// type, so that tests can hold each to be true.
package pages

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Command is a line of `kubectl prod` on a page.
type Command struct {
	Page string // from the repository's root
	// Line is what comes after "kubectl prod ": up to the line's end, its comment,
	// or what a shell would take for its own.
	Line string
}

// Commands are those in the code of all pages but those that are made from the
// commands themselves. A backslash at a line's end joins it with the next.
func Commands(root string) ([]Command, error) {
	paths, err := markdown(root)
	if err != nil {
		return nil, err
	}
	command := regexp.MustCompile("kubectl prod ([a-z](?:'[^'\n]*'|[^\n|>;&)\"])*)")
	comment := regexp.MustCompile(`(?m)(^|\s)#.*$`)
	var all []Command
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		page, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		for _, code := range code(string(text)) {
			for _, match := range command.FindAllStringSubmatch(comment.ReplaceAllString(code, ""), -1) {
				all = append(all, Command{Page: filepath.ToSlash(page), Line: strings.TrimSpace(match[1])})
			}
		}
	}
	return all, nil
}

// code is what a page has between backticks and in blocks of code.
func code(page string) []string {
	var all []string
	for i, part := range strings.Split(page, "```") {
		if i%2 == 1 {
			all = append(all, strings.ReplaceAll(part, "\\\n", " "))
			continue
		}
		for i, span := range strings.Split(part, "`") {
			if i%2 == 1 {
				all = append(all, span)
			}
		}
	}
	return all
}

func markdown(root string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "commands":
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			all = append(all, path)
		}
		return nil
	})
	return all, err
}
