package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// complete has a shell offer what there is: what the policies name, those of -f or of the cluster, and what the cluster has. Where
// they can't be read nothing is offered, and nothing said: the command itself says it.
func complete(commands ...*cobra.Command) {
	offers := map[string]func(*completer) []string{
		"namespace": (*completer).namespaces,
		"hub":       (*completer).hubs,
		"profile":   (*completer).profiles,
		"group":     (*completer).groups,
		"launcher":  (*completer).launchers,
		"user":      (*completer).users,
		"server":    (*completer).serverNames,
		"why":       (*completer).fields,
	}
	for _, cmd := range commands {
		for name, offer := range offers {
			if cmd.Flags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, offering(offer)) // one of its own is kept
			}
		}
		if cmd.Flags().Lookup("option") != nil {
			_ = cmd.RegisterFlagCompletionFunc("option", completeOption)
		}
		if cmd.Flags().Lookup("until") != nil {
			_ = cmd.RegisterFlagCompletionFunc("until", cobra.FixedCompletions([]string{untilAdmitted, untilRunning}, cobra.ShellCompDirectiveNoFileComp))
		}
		noFiles(cmd, "user-id", "env", "namespace-label", "user-annotation", "timeout", "grace-period", "jupyterhub", "output")
		if cmd.Flags().Lookup("filename") != nil {
			_ = cmd.MarkFlagFilename("filename", filesOfPolicies...)
		}
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// noFiles keeps a shell from offering files for flags whose value nothing but the user knows.
func noFiles(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
		}
	}
}

// filesOfPolicies are the extensions of files that a shell offers.
var filesOfPolicies = []string{"yaml", "yml", "json"}

// formatFlag adds --output, whose default is the first format.
func formatFlag(cmd *cobra.Command, output *string, formats ...string) {
	last := len(formats) - 1
	cmd.Flags().StringVarP(output, "output", "o", formats[0], "`format`: "+strings.Join(formats[:last], ", ")+" or "+formats[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// offering is the completion by what a completer has.
func offering(offer func(*completer) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, cancel := newCompleter(cmd)
		defer cancel()
		return beginning(typed, offer(c)), cobra.ShellCompDirectiveNoFileComp
	}
}

// beginning are those of what is offered that begin as it was typed, each once.
func beginning(typed string, offered []string) []string {
	offered = slices.DeleteFunc(offered, func(o string) bool { return !strings.HasPrefix(o, typed) })
	slices.Sort(offered)
	return slices.Compact(offered)
}

// completePod offers the names of hubs' pods, once.
func completePod(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offering((*completer).pods)(cmd, args, typed)
}

// completeOption offers names of options, and after the equals sign their choices.
func completeOption(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, cancel := newCompleter(cmd)
	defer cancel()
	name, _, chosen := strings.Cut(typed, "=")
	var offered []string
	for _, p := range c.chosen() {
		for _, o := range p.Options {
			if !chosen {
				offered = append(offered, described(o.Name+"=", o.DisplayName))
				continue
			}
			for _, choice := range o.Choices {
				if o.Name == name {
					offered = append(offered, described(name+"="+choice.Name, choice.DisplayName))
				}
			}
		}
	}
	offered = beginning(typed, offered)
	if chosen {
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// described is a completion with what a shell shows beside it.
func described(value, description string) string {
	if description == "" || description == value {
		return value
	}
	return value + "\t" + description
}
