import{x as o}from"/app/chunk-BMIXS5YR.js";import"/app/chunk-HUE5J7GY.js";export{o as pickFolder};
