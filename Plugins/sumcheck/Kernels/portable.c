#include "lanes_portable.h"
#include "loops.h"
