#define NAME(function) portable_##function
#include "loops.h"
