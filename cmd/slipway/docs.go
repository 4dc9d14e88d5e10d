package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newDocs is for make generate and for releases, and hidden from everybody else.
func newDocs(io streams) *cobra.Command {
	docs := &cobra.Command{
		Use:    "docs",
		Short:  "Write the documentation of all commands",
		Hidden: true,
		Args:   oneOfTheCommands,
		RunE:   func(cmd *cobra.Command, _ []string) error { return whichCommand(cmd, io) },
	}
	docs.AddCommand(&cobra.Command{
		Use:   "man FOLDER",
		Short: "Write a manual page for each command, of the time in SOURCE_DATE_EPOCH",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeManual(cmd.Root(), args[0]); err != nil {
				return failed(fmt.Errorf("write the manual: %w", err))
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "markdown",
		Short: "Write one page about all commands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := io.out.Write([]byte(commandsInMarkdown(cmd.Root()))); err != nil {
				return failed(fmt.Errorf("write the page: %w", err))
			}
			return nil
		},
	})
	return docs
}

func writeManual(root *cobra.Command, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // everybody reads manuals
		return err
	}
	documented(root, func(cmd *cobra.Command) {
		cmd.DisableAutoGenTag = true
		cmd.Long = indented.ReplaceAllString(cmd.Long, "    $0") // what Markdown takes for code
	})
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Slipway " + version, Manual: "Slipway"}, folder)
}

// indented are the lines of a help text that are no prose.
var indented = regexp.MustCompile(`(?m)^  .*$`)

// documented visits the commands that people see.
func documented(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			documented(c, visit)
		}
	}
}

const aboutCommands = `<!-- Written by make generate. -->

# The command line

What ` + "`slipway COMMAND --help`" + ` says. Releases have it as manual pages too.

`

func commandsInMarkdown(root *cobra.Command) string {
	var list, pages strings.Builder
	documented(root, func(cmd *cobra.Command) {
		if cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return // one for each shell, whose help says the same
		}
		name := cmd.CommandPath()
		fmt.Fprintf(&list, "- [`%s`](#%s): %s\n", name, strings.ReplaceAll(name, " ", "-"), inMarkdown(cmd.Short))
		fmt.Fprintf(&pages, "\n## `%s`\n\n%s\n", name, inMarkdown(strings.TrimSpace(cmd.Long)))
		if cmd.Runnable() && !cmd.HasSubCommands() {
			pages.WriteString("\n" + fenced(cmd.UseLine()))
		}
		if cmd.Example != "" {
			pages.WriteString("\nExamples:\n\n" + fenced(unindent(cmd.Example)))
		}
		if flags := cmd.LocalFlags().FlagUsagesWrapped(manualWidth); !cmd.HasSubCommands() && flags != "" {
			pages.WriteString("\nFlags:\n\n" + fenced(strings.TrimRight(flags, "\n")))
		}
	})
	return aboutCommands + list.String() + pages.String()
}

// manualWidth is that of a page, which has no terminal to go by.
const manualWidth = 120

func fenced(text string) string { return "```text\n" + text + "\n```\n" }

func unindent(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

// block are lines of a help text that are no prose, with empty ones between them.
var block = regexp.MustCompile(`(?m)^[ \t]+\S.*(\n+[ \t]+\S.*)*`)

// inMarkdown writes a help text so that it reads as it does in a terminal.
func inMarkdown(help string) string {
	prose := strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`)
	var text strings.Builder
	for help != "" {
		at := block.FindStringIndex(help)
		if at == nil {
			text.WriteString(prose.Replace(help))
			break
		}
		text.WriteString(prose.Replace(help[:at[0]]) + fenced(unindent(help[at[0]:at[1]])))
		help = strings.TrimPrefix(help[at[1]:], "\n")
	}
	return text.String()
}
