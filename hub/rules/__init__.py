"""Which study goes to whom, how soon: rules in YAML, each fault with its line, each answer with its why.

`language` reads a file (LANGUAGE.md) into the typed tree of `tree`; `pattern` is its regular
expression, which cannot run away; `facts` is what a study is asked; `evaluate` answers, `explain`
says why. No rule is code: nothing here evaluates text as a program.
"""
