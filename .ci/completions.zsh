#!/usr/bin/env zsh
# Prints what an interactive zsh completes with: zsh -f completions.zsh FOLDER DUMP LINE END
# FOLDER holds _chive, DUMP is a file for compinit, LINE is typed with a tab behind it, and
# END is a word that comes last in the answer.
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1= LISTMAX=1000 COLUMNS=200 LINES=200; unsetopt zle_bracketed_paste; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -d $2"
zpty -w inner 'print ${:-be}gin'
zpty -r inner got '*begin*'
zpty -w -n inner "$3"$'\t'
zpty -r inner got "*$4*"
print -r -- "$got"
