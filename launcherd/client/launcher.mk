# Read by make before the makefile, by way of MAKEFILES: see launcherd(1). The
# name of the shell must be sh, or make keeps the @ and - of a .ONESHELL recipe.
SHELL := $(dir $(lastword $(MAKEFILE_LIST)))sh
# No match-anything rule of the makefile is to be tried on this file.
$(lastword $(MAKEFILE_LIST)): ;
# As if this file had not been there.
MAKEFILE_LIST :=
