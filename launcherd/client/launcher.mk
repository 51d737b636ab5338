# Read by make before the makefile, by way of MAKEFILES: see launcherd(1). The
# name of the shell must be sh, or make keeps the @ and - of a .ONESHELL recipe.
SHELL := $(dir $(lastword $(MAKEFILE_LIST)))sh
# A makefile that says SHELL = /bin/sh, as those of automake and CMake do, says
# what is the default anyway. GPATH is what make expands when all makefiles have
# been read, once; it is empty again by then.
ifeq ($(origin GPATH),undefined)
unexport GPATH
$(eval GPATH = $$(eval GPATH :=)$$(if $$(subst x/bin/sh,,x$$(value SHELL)),,$$(eval SHELL := $(SHELL))))
endif
# No match-anything rule of the makefile is to be tried on this file.
$(lastword $(MAKEFILE_LIST)): ;
# As if this file had not been there.
MAKEFILE_LIST :=
